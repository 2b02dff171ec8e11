"""A replay of any size is recognised in little memory; what was taken for one, and is new, is stored once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.collector import running, spooled, tally
from support.relp import RelpClient

from collectors.collect import Collector
from collectors.receivers import hands, relp_opening
from collectors.receivers.hands import Hands
from collectors.receivers.relp_frames import Frame
from collectors.receivers.relp_opening import Opening
from collectors.receivers.replay import KEPT, Beyond, Tail


def tail_of(*bodies: bytes) -> Tail:
    made = Tail(1)
    made.add(map(hash, bodies))
    return made


def stored_but_not_answered(collector: Collector, root: Path, records: list[bytes]) -> RelpClient:
    client = RelpClient(collector.ports["relp"])
    client.open()
    client.send(records)
    until_spooled(root, len(records))
    client.cut(reset=True)
    return client


def until_spooled(root: Path, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(spooled(root)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def notes(collector: Collector) -> object:
    return tally(collector, "relp", "q1-fw")["notes"]


def test_a_replay_of_many_megabytes_is_recognised_and_new_records_behind_it_are_stored(
    tmp_path: Path,
) -> None:
    records = [b"<1>%03d " % number + b"x" * 60_000 for number in range(300)]  # 18 MB
    most = 0
    with running(tmp_path) as collector:
        client = stored_but_not_answered(collector, tmp_path, records)
        took = collector.intake.hands.take

        def take(source: str, size: int) -> None:
            nonlocal most
            took(source, size)
            most = max(most, collector.intake.hands._held[source])

        collector.intake.hands.take = take  # type: ignore[method-assign]
        client.open()
        client.send([b"<1>new"])
        client.settle(30)
        assert tally(collector, "relp", "q1-fw")["repeated"] == 300
        assert notes(collector) == {}
    assert [one.body for one in spooled(tmp_path)] == [*records, b"<1>new"]
    assert most < relp_opening.BODIES + (2 << 20)


def test_sessions_that_may_be_replays_take_of_their_sources_memory_and_all_are_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands.Hands.__init__, "__defaults__", (400_000,))
    monkeypatch.setattr(hands, "_LEAST", 100_000)
    records = [b"<1>%03d " % number + b"x" * 200 for number in range(1000)]
    with running(tmp_path) as collector:
        held = collector.intake.hands._held
        client = stored_but_not_answered(collector, tmp_path, records)
        half = []
        for _ in range(8):  # 150 kB each, of which nobody knows yet whether they are new
            other = RelpClient(collector.ports["relp"])
            other.unacknowledged.update(enumerate(records[:500]))
            other.open()
            half.append(other)
        for _ in range(20):
            assert held["q1-fw"] < 700_000
            time.sleep(0.01)
        for other in half:
            other.cut()
        while held:
            time.sleep(0.01)
        client.settle()
        assert tally(collector, "relp", "q1-fw")["repeated"] == 1000
    assert [one.body for one in spooled(tmp_path)] == records


@pytest.mark.parametrize(
    ("stored", "sent", "kept"),
    [
        ("abcdef", "bcdx", "abcdefbcdx"),  # fits until the last
        ("abca", "abcd", "abcabcd"),  # of two fits the longer fails, and the shorter was a replay
    ],
)
def test_what_is_new_after_its_bytes_were_let_go_is_asked_for_again_and_stored_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: str, sent: str, kept: str
) -> None:
    monkeypatch.setattr(relp_opening, "BODIES", 1000)

    def body(letter: str) -> bytes:
        return b"<1>" + letter.encode() * 2000

    with running(tmp_path) as collector:
        client = RelpClient(collector.ports["relp"])
        client.open()
        client.send([*map(body, stored)])
        client.settle()
        client.cut(reset=True)
        client.open()
        for letter in sent:
            client.send([body(letter)])
            time.sleep(0.05)  # each by itself
        client.settle(20)
        assert notes(collector) in ({"asked_again": 1}, {"asked_again": 2})
    assert [one.body for one in spooled(tmp_path)] == [*map(body, kept)]


def test_the_bytes_of_what_still_fits_are_let_go_and_those_of_what_does_not_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relp_opening, "BODIES", 1000)
    held = Hands()
    opening = Opening([tail_of(b"a" * 900, b"b" * 900, b"c")], "s", held)
    opening.add([Frame(2, b"syslog", b"a" * 900), Frame(3, b"syslog", b"b" * 900)])
    assert (opening.without_body, held._held["s"]) == (2, 200)
    opening.add([Frame(4, b"syslog", b"n" * 5000)])
    assert (opening.without_body, held._held["s"], opening.match.replayed()) == (2, 5300, None)
    assert [len(one.data) for one in opening.let_go()] == [0, 0, 5000]
    assert held._held == {}


def test_a_replay_of_more_records_than_are_kept_is_counted(tmp_path: Path) -> None:
    records = [b"<1>%05d" % number for number in range(KEPT + 1500)]
    with running(tmp_path) as collector:
        client = stored_but_not_answered(collector, tmp_path, records)
        client.open()
        client.settle()
        assert notes(collector) == {"replay_too_long": len(records)}
    assert [one.body for one in spooled(tmp_path)] == records * 2


def test_a_replay_that_is_too_long_is_told_by_a_run_not_by_one_line() -> None:
    kept = list(range(KEPT))
    tail = Tail(1)
    tail.add([-2, -1, *kept])
    assert Beyond([tail]).feed([7, 0, 1, 2, 3, 9, *range(100, 200)]) == 0
    assert Beyond([tail]).feed([-2, -1, *kept]) == 2 + KEPT
    assert Beyond([tail_of(b"short")]).feed([hash(b"short")] * 20) == 0
