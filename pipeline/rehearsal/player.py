"""Plays a script to the receivers, at a pace, and goes on where a killed player stopped.

The order within a burst: its syslog noise, then its requests one by one; after each acknowledgement
the position is saved. So at most one request is ever unanswered, and it is repeated byte for byte,
which the receiver recognises for ten minutes; noise may be repeated, which changes no ticket.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.rehearsal.plan import Burst, bursts
from pipeline.rehearsal.progress import NOISE_FIRST, Position, Progress, name_of
from pipeline.rehearsal.script import Script
from pipeline.rehearsal.senders import HttpSender, StoppedError, SyslogSender, Targets

BURST = 200
DAY_IN_SECONDS = 75.0


@dataclass(frozen=True, slots=True)
class Played:
    """After a burst: lines handed over so far and in all. `lost` counts noise that nobody took."""

    lines: int
    total: int
    lost: int = 0
    done: bool = False


Report = Callable[[Played], None]


def play(
    script: Script,
    targets: Targets,
    progress: Progress,
    stop: threading.Event,
    report: Report,
    *,
    seconds: float = DAY_IN_SECONDS,
) -> Played:
    """The whole day in about `seconds`, or what is left of it. Returns early when `stop` is set.

    A position of another script is left behind: the new one begins at its first line.
    """
    plan = list(bursts(script, BURST))
    total = plan[-1].last if plan else 0
    position = progress.load()
    if position is None or position.script != name_of(script):
        position = Position(name_of(script))
        progress.save(position)
    http, syslog = HttpSender(targets, stop), SyslogSender(targets)
    lines = plan[position.burst].first if position.burst < len(plan) else total
    played = Played(lines, total)
    try:
        for burst in _paced(plan[position.burst :], stop, seconds * BURST / max(total, 1)):
            position = _deliver(burst, position, http, syslog, progress)
            played = Played(burst.last, total, syslog.lost)
            report(played)
    except StoppedError:
        return played
    finally:
        http.close()
        syslog.close()
    return Played(played.lines, total, syslog.lost, done=played.lines == total)


def _paced(plan: list[Burst], stop: threading.Event, each: float) -> Iterator[Burst]:
    """The bursts, `each` seconds apart; late ones follow at once, so that a slow start is made up."""
    began = time.monotonic()
    for number, burst in enumerate(plan):
        if stop.wait(max(0.0, began + number * each - time.monotonic())):
            return
        yield burst


def _deliver(
    burst: Burst, position: Position, http: HttpSender, syslog: SyslogSender, progress: Progress
) -> Position:
    if position.request == NOISE_FIRST:
        for line in burst.syslog:
            syslog.send(line)
        position = Position(position.script, position.burst, 0)
        progress.save(position)
    for place in range(position.request, len(burst.requests)):
        http.send(burst.requests[place])
        position = Position(position.script, position.burst, place + 1)
        progress.save(position)
    position = Position(position.script, position.burst + 1)
    progress.save(position)
    return position
