"""The player: every line arrives, once where it is acknowledged, whoever dies in between."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.collector import spooled
from support.stage import KEYS, receiving

from pipeline.model.errors import DamagedError, ForbiddenError, ServiceAwayError
from pipeline.rehearsal.plan import bursts, by_syslog
from pipeline.rehearsal.player import Played, play
from pipeline.rehearsal.progress import FileProgress, MemoryProgress, Position, name_of
from pipeline.rehearsal.script import Script
from pipeline.rehearsal.senders import HttpSender, StoppedError, Targets, wait_for_receiver

SCRIPT = Script(7, datetime(2026, 11, 23, 17, 0, tzinfo=UTC), records=1500)


class KilledError(Exception):
    """Stands for SIGKILL: nothing that comes after it in the player is done."""


class DyingProgress(MemoryProgress):
    """Dies when the position is to be saved for the n-th time, before or after the saving."""

    def __init__(self, at: int, *, before: bool) -> None:
        super().__init__()
        self._left, self._before = at, before

    def save(self, position: Position) -> None:
        self._left -= 1
        if self._left == 0 and self._before:
            raise KilledError
        super().save(position)
        if self._left == 0:
            raise KilledError


def _arrived(root: Path) -> Counter[tuple[str, bytes]]:
    return Counter((record.source, record.body) for record in spooled(root))


def _acknowledged() -> Counter[tuple[str, bytes]]:
    return Counter((line.source, line.body) for line in SCRIPT if not by_syslog(line))


def _noise() -> Counter[tuple[str, bytes]]:
    return Counter((line.source, line.body) for line in SCRIPT if by_syslog(line))


def test_every_line_arrives_under_its_source_and_nothing_else(tmp_path: Path) -> None:
    told: list[Played] = []
    with receiving(tmp_path) as (_, targets):
        played = play(SCRIPT, targets, MemoryProgress(), threading.Event(), told.append, seconds=0)
    assert played.done
    assert (played.lines, played.lost) == (played.total, 0)
    assert [each.lines for each in told] == sorted({each.lines for each in told})
    arrived = _arrived(tmp_path)
    udp = Counter({k: n for k, n in _noise().items() if k[0].endswith(("fortigate", "asa"))})
    assert arrived - udp == _acknowledged() + _noise() - udp
    assert (udp - arrived).total() <= udp.total() // 10  # best effort


@pytest.mark.parametrize("before", [True, False], ids=["before it is saved", "after it is saved"])
@pytest.mark.parametrize("at", [2, 3, 17, 40])
def test_a_killed_player_goes_on_and_no_acknowledged_line_is_lost_or_doubled(
    tmp_path: Path, at: int, before: bool
) -> None:
    progress = DyingProgress(at, before=before)
    with receiving(tmp_path) as (_, targets):
        with pytest.raises(KilledError):
            play(SCRIPT, targets, progress, threading.Event(), lambda _: None, seconds=0)
        kept = MemoryProgress(progress.position)
        assert play(SCRIPT, targets, kept, threading.Event(), lambda _: None, seconds=0).done
    arrived = _arrived(tmp_path)
    noise = set(_noise())
    assert Counter({k: n for k, n in arrived.items() if k not in noise}) == _acknowledged()


def test_a_player_waits_for_a_collector_that_went_away(tmp_path: Path) -> None:
    with receiving(tmp_path) as (collector, targets):
        ports = dict(collector.ports)
    done: list[Played] = []
    player = threading.Thread(
        target=lambda: done.append(
            play(SCRIPT, targets, MemoryProgress(), threading.Event(), lambda _: None, seconds=0)
        )
    )
    player.start()
    player.join(0.5)
    assert player.is_alive()  # nobody listens: it waits, and gives nothing up
    with receiving(tmp_path, ports):
        player.join(30)
    assert done[0].done
    noise = set(_noise())
    arrived = _arrived(tmp_path)
    assert Counter({k: n for k, n in arrived.items() if k not in noise}) == _acknowledged()


def test_a_played_script_is_not_played_again(tmp_path: Path) -> None:
    progress = FileProgress(tmp_path / "rehearsal" / "position.json")
    with receiving(tmp_path) as (_, targets):
        play(SCRIPT, targets, progress, threading.Event(), lambda _: None, seconds=0)
        first = len(spooled(tmp_path))
        again = play(SCRIPT, targets, progress, threading.Event(), lambda _: None, seconds=0)
    assert again.done
    assert len(spooled(tmp_path)) == first


def test_a_stopped_player_returns_at_once_and_keeps_its_place(tmp_path: Path) -> None:
    stop, progress = threading.Event(), MemoryProgress()
    with receiving(tmp_path) as (_, targets):
        played = play(SCRIPT, targets, progress, stop, lambda _: stop.set(), seconds=600)
    assert not played.done
    assert progress.position == Position(name_of(SCRIPT), 1)


def test_a_player_that_nobody_answers_stops_when_told() -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    targets = Targets("http://127.0.0.1:9", KEYS)
    played = play(SCRIPT, targets, MemoryProgress(), stop, lambda _: None, seconds=0)
    assert not played.done


def test_a_key_of_another_source_is_refused_in_words(tmp_path: Path) -> None:
    request = next(r for b in bursts(SCRIPT) for r in b.requests if not r.bulk)
    wrong = {**KEYS, request.source: KEYS["dt-phuong-tan-cau.bind"]}
    with receiving(tmp_path) as (_, targets):
        sender = HttpSender(Targets(targets.http, wrong), threading.Event())
        with pytest.raises(ForbiddenError, match="403"):
            sender.send(request)
        sender.close()


def test_an_unknown_key_is_tried_for_a_while_for_the_register_may_be_behind(tmp_path: Path) -> None:
    request = next(r for b in bursts(SCRIPT) for r in b.requests if not r.bulk)
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    with receiving(tmp_path) as (_, targets):
        sender = HttpSender(Targets(targets.http, {**KEYS, request.source: "x:y"}), stop)
        with pytest.raises(StoppedError):
            sender.send(request)
        sender.close()


def test_no_two_requests_are_alike_for_the_receiver_would_take_them_for_one() -> None:
    script = Script(7, SCRIPT.start)
    requests = Counter((r.source, r.body) for b in bursts(script) for r in b.requests)
    assert [key for key, count in requests.items() if count > 1] == []


def test_the_plan_carries_every_line_once_and_stories_by_acknowledged_transports_only() -> None:
    plan = list(bursts(SCRIPT))
    assert sum(len(b.syslog) + sum(r.lines for r in b.requests) for b in plan) == len(list(SCRIPT))
    assert [line for b in plan for line in b.syslog if line.story] == []
    assert (plan[0].first, [a.last for a in plan[:-1]]) == (0, [b.first for b in plan[1:]])


def test_a_position_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    place = tmp_path / "position.json"
    place.write_text('{"script": ', "utf-8")
    with pytest.raises(DamagedError, match=r"position\.json"):
        FileProgress(place).load()


def test_a_position_of_another_script_is_left_behind(tmp_path: Path) -> None:
    progress = FileProgress(tmp_path / "position.json")
    progress.save(Position("another", 4, 2))
    stop = threading.Event()
    stop.set()
    play(SCRIPT, Targets("http://127.0.0.1:9", KEYS), progress, stop, lambda _: None)
    assert progress.load() == Position(name_of(SCRIPT))


def test_the_first_line_waits_for_a_receiver_that_knows_the_drill_s_keys(tmp_path: Path) -> None:
    stop = threading.Event()
    with receiving(tmp_path) as (_, targets):
        wait_for_receiver(targets, stop, 10)
        with pytest.raises(ServiceAwayError, match="keys"):
            wait_for_receiver(Targets(targets.http, {"a": "x:y"}), stop, 0.2)
    with pytest.raises(ServiceAwayError, match="serve"):
        wait_for_receiver(Targets("http://127.0.0.1:9", KEYS), stop, 0.2)
    stop.set()
    with pytest.raises(StoppedError):
        wait_for_receiver(Targets("http://127.0.0.1:9", KEYS), stop, 10)
