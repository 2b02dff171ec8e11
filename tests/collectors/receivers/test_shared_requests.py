"""A request that comes again to another process of the same collector, after an outcome that its sender does not know."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest
from contract.test_receiver_contract import by_http
from support.collector import running, spooled, tally

from collectors.receivers import shared_requests
from collectors.receivers.shared_requests import NAME, SharedRequests
from collectors.spool import Draft, SpoolIOError, SpoolLimits, SpoolWriter
from collectors.spool.requests import requests_of
from pipeline.settings.values import CollectSettings, Listener

HTTP = CollectSettings(
    node="n1", listeners=(Listener(name="http", kind="http_bulk"),), spool_segment_bytes=2_000
)
OTHER = replace(HTTP, node="n1.two")
LINES = [b"line %d" % n for n in range(40)]
REQUEST = bytes(range(16))


def by_name(root: Path, node: str, *, several: bool = True) -> SharedRequests:
    return SharedRequests(root, node, [], several=several)


def ask(shared: SharedRequests) -> int:
    return asyncio.run(shared.elsewhere(REQUEST))


def test_a_request_is_stored_once_whichever_process_it_comes_to_and_counted_as_repeated(
    tmp_path: Path,
) -> None:
    with (
        running(tmp_path, HTTP, several=True) as first,
        running(tmp_path, OTHER, several=True) as second,
    ):
        by_http(first, LINES)
        for other in range(10):  # its segment is sealed meanwhile
            by_http(first, [b"%d %d" % (other, n) for n in range(20)])
        by_http(second, LINES)
        by_http(second, [b"new"])
        by_http(first, [b"new"])
        assert tally(second, "http", "q1-web")["repeated"] == 40
        assert tally(first, "http", "q1-web")["repeated"] == 1
    bodies = [one.body for node in ("n1", "n1.two") for one in spooled(tmp_path, node)]
    assert len(bodies) == len(set(bodies)) == 40 + 200 + 1


def test_after_a_listener_has_changed_its_group_its_requests_are_known(tmp_path: Path) -> None:
    with running(tmp_path, HTTP) as collector:
        by_http(collector, LINES)
    with running(tmp_path, OTHER) as collector:
        by_http(collector, LINES)
        by_http(collector, [b"new"])
        assert tally(collector, "http", "q1-web")["repeated"] == 40
    assert [one.body for one in spooled(tmp_path, "n1.two")] == [b"new"]


def test_what_another_process_has_in_hand_is_waited_for_and_known_when_it_is_on_disk(
    tmp_path: Path,
) -> None:
    first, second = by_name(tmp_path, "n1"), by_name(tmp_path, "n1.two")

    async def both(writer: SpoolWriter) -> int:
        assert await first.elsewhere(REQUEST) == 0
        asked = asyncio.create_task(second.elsewhere(REQUEST))
        await asyncio.sleep(0.25)
        assert not asked.done()
        await asyncio.to_thread(writer.append, [Draft("s", 0, b"a"), Draft("s", 0, b"b")], REQUEST)
        return await asked

    with SpoolWriter(tmp_path, "n1") as writer:
        assert asyncio.run(both(writer)) == 2


def test_over_what_a_process_was_killed_the_sender_comes_again_until_it_is_known_what_became_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_requests, "_LOOK_AGAIN", 0.001)
    assert ask(by_name(tmp_path, "n1")) == 0  # and is killed
    other = by_name(tmp_path, "n1.two")
    with pytest.raises(SpoolIOError, match="another process"):
        ask(other)
    again = by_name(tmp_path, "n1")
    again.begin(lambda _: True)  # it is in its spool: its claim stands
    with pytest.raises(SpoolIOError):
        ask(other)
    again.begin(lambda _: False)
    assert ask(other) == 0
    with pytest.raises(SpoolIOError):
        ask(again)
    other.give_back(REQUEST)
    assert ask(again) == 0


def test_one_process_alone_claims_nothing(tmp_path: Path) -> None:
    assert ask(by_name(tmp_path, "n1", several=False)) == 0
    assert not (tmp_path / NAME).exists()


def test_claims_end_after_ten_to_twenty_minutes_and_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, uptime = by_name(tmp_path, "n1"), by_name(tmp_path, "n1.two"), 6_000.0
    monkeypatch.setattr(time, "clock_gettime", lambda _: uptime)
    monkeypatch.setattr(shared_requests, "_LOOK_AGAIN", 0.001)
    assert ask(first) == 0
    uptime += 1_199
    with pytest.raises(SpoolIOError):
        ask(second)
    uptime += 1
    assert ask(second) == 0
    second.sweep()
    deadline = time.monotonic() + 5
    while len(list((tmp_path / NAME).iterdir())) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(SpoolIOError):
        ask(first)


def test_the_requests_of_the_last_minutes_are_read_from_another_nodes_spool(tmp_path: Path) -> None:
    limits = SpoolLimits(segment_bytes=500)
    with SpoolWriter(tmp_path, "n1", limits) as writer:
        for number in range(20):
            writer.append([Draft("s", 0, b"x" * 90)] * (number + 1), bytes([number + 1]) * 16)
        writer.append([Draft("s", 0, b"of no request")])
        wanted = {bytes([number + 1]) * 16: number + 1 for number in range(20)}
        assert requests_of(tmp_path / "n1", 600) == wanted
        time.sleep(0.01)
        assert len(requests_of(tmp_path / "n1", 0.0)) <= 1  # the open segment's
    assert requests_of(tmp_path / "none", 600) == {}
