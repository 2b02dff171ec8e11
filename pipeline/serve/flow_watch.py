"""The watch over the flow, by a role that needs neither normalise nor detect: does what waits move?

In, each few seconds: how far the spool, the store's watermark and the cursors are. Out: an alarm (in the
log and as a row) when records wait and nothing has moved for a while, closed when it moves again. A
schedule that rests on purpose raises none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from pipeline.detect.running.maintenance import resting
from pipeline.detect.running.runs import cursors_of
from pipeline.model.errors import ServiceAwayError
from pipeline.serve.installation import Installation
from pipeline.state.alarms import close_alarm, open_alarms, raise_alarm
from pipeline.state.state import State
from pipeline.state.tables.detection import ScheduleRow

WATERMARK: Final = "flow:watermark"
RUNS: Final = "flow:runs"
EVERY_SECONDS: Final = 5.0
Marks = Mapping[str, int]  # node → sequence
log = logging.getLogger(__name__)


class FlowWatch:
    """`stuck_after` in seconds. Seconds come in by `at`, a clock that only goes forward."""

    def __init__(self, state: State, stuck_after: float) -> None:
        self._state, self._stuck_after = state, stuck_after
        self._moved: dict[str, tuple[Marks, float]] = {}
        self._told = {a.key for a in open_alarms(state) if a.key.startswith("flow:")}

    def look(self, spool: Marks, watermark: Marks, *, now: datetime, at: float) -> None:
        """Compare with the last look; raise, renew or close alarms."""
        behind = _behind(spool, watermark)
        self._judge(
            WATERMARK, watermark, behind, at, now,
            f"the watermark stands still while {behind:,} records wait in the spool",
        )  # fmt: skip
        with self._state.read() as session:
            schedules = list(session.scalars(sa.select(ScheduleRow.name)))
            awake = [name for name in schedules if not resting(session, name, now)]
            cursors = {name: cursors_of(session, name) for name in awake}
        for name in schedules:
            key = f"{RUNS}:{name}"
            if name not in cursors:
                self._moved.pop(key, None)
                self._close(key, now)
                continue
            waiting = _behind(watermark, cursors[name])
            self._judge(
                key, cursors[name], waiting, at, now,
                f"no run of the schedule {name} while {waiting:,} settled records wait",
            )  # fmt: skip

    def _judge(
        self, key: str, marks: Marks, waiting: int, at: float, now: datetime, message: str
    ) -> None:
        last = self._moved.get(key)
        if last is None or last[0] != marks or not waiting:
            self._moved[key] = (dict(marks), at)
            if last is not None or not waiting:
                self._close(key, now)
        elif at - last[1] > self._stuck_after:
            raise_alarm(self._state, key, message, now=now)
            self._told.add(key)

    def _close(self, key: str, now: datetime) -> None:
        if key in self._told:
            close_alarm(self._state, key, now=now)
            self._told.discard(key)


def _behind(ahead: Marks, behind: Marks) -> int:
    return sum(max(0, upto - behind.get(node, 0)) for node, upto in ahead.items())


class HomeWatch:
    """The watch over one home, looked at from another loop as often as that likes."""

    def __init__(self, here: Installation) -> None:
        self._here = here
        self._watch = FlowWatch(here.state, here.settings.serve.stuck_after)
        self._due = 0.0

    def look(self, now: datetime) -> None:
        """At most every five seconds. A state that cannot be asked or written ends no role: the log says so."""
        at = time.monotonic()
        if at < self._due:
            return
        self._due = at + EVERY_SECONDS
        try:
            self._watch.look(_durable(self._here), self._here.store.watermark(), now=now, at=at)
        except ServiceAwayError as error:
            log.error("ALARM the flow cannot be watched", extra={"why": str(error)})  # noqa: TRY400


def _durable(here: Installation) -> dict[str, int]:
    from collectors.spool import segments
    from collectors.spool.reader import SpoolReader

    found: dict[str, int] = {}
    if here.settings.spool.is_dir():
        for node in segments.nodes(here.settings.spool):
            with SpoolReader(here.settings.spool, node) as reader:
                found[node] = reader.durable()
    return found
