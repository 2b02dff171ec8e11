"""When runs start. APScheduler is the clock; what has been evaluated is the cursor's business.

A tick every half second asks each schedule: does it rest, have its seconds passed since the last run,
has the watermark moved? Then windows are evaluated until none is left. The clock never doubles a slow
run (`max_instances=1`) and skips nothing in silence: a missed tick changes no cursor.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec
import sqlalchemy as sa

from pipeline.access.permissions import require
from pipeline.detect.running.maintenance import resting
from pipeline.detect.running.runs import DEFAULT_LIMITS, Evaluator, Limits, cursors_of, run_once
from pipeline.model.clock import utc_now
from pipeline.model.errors import ConflictError, NotFoundError, ServiceAwayError, UsageError
from pipeline.model.scope import Actor
from pipeline.state.alarms import close_alarm, raise_alarm
from pipeline.state.state import State
from pipeline.state.tables.detection import ScheduleRow
from pipeline.store.base import Store

log = logging.getLogger(__name__)
TICK_SECONDS: Final = 0.5
MAIN: Final = "main"
ALARM: Final = "detect:loop"


class Beat(Protocol):
    """A role's sign of life: `progress` that work was done, `waiting` how much there is."""

    def __call__(
        self, *, progress: bool = ..., waiting: int = ..., detail: Mapping[str, Any] | None = ...
    ) -> None: ...


def ensure_schedule(state: State, name: str = MAIN, *, interval: float, now: datetime) -> None:
    """The schedule with these seconds between runs; a pause stays."""
    with state.begin() as session:
        row = session.get(ScheduleRow, name)
        if row is None:
            session.add(ScheduleRow(name=name, interval=interval, changed=now))
        elif row.interval != interval:
            row.interval, row.changed = interval, now


def pause(state: State, actor: Actor, name: str, reason: str, *, now: datetime) -> None:
    """Start no run of the schedule until it is resumed; the lag stays visible."""
    if not reason.strip():
        raise UsageError("a pause needs a reason", where=f"schedule {name}")
    _set_pause(state, actor, name, reason.strip(), now)


def resume(state: State, actor: Actor, name: str, *, now: datetime) -> None:
    """Let runs start again, at the cursor where they stopped."""
    _set_pause(state, actor, name, "", now)


def _set_pause(state: State, actor: Actor, name: str, reason: str, now: datetime) -> None:
    require(actor, "rule.write", None)
    with state.begin() as session:
        row = session.get(ScheduleRow, name)
        if row is None:
            raise NotFoundError("no such schedule", got=name)
        row.paused, row.changed = (f"{actor.name}: {reason}" if reason else ""), now
    log.warning("a schedule changed", extra={"schedule": name, "paused": reason, "by": actor.name})


class Standing(msgspec.Struct, frozen=True):
    """A schedule as a list shows it. `rests` says why no run starts now; `behind` in sequences."""

    schedule: str
    interval: float
    behind: int
    rests: str


def schedules(state: State, store: Store, actor: Actor, *, now: datetime) -> list[Standing]:
    """Every schedule and how far behind it is."""
    require(actor, "operation.read", None)
    with state.read() as session:
        rows = list(session.scalars(sa.select(ScheduleRow).order_by(ScheduleRow.name)))
        rests = {row.name: resting(session, row.name, now) for row in rows}
    return [Standing(r.name, r.interval, lag(state, store, r.name), rests[r.name]) for r in rows]


def lag(state: State, store: Store, schedule: str = MAIN) -> int:
    """Sequences that are settled and not yet evaluated."""
    watermark = store.watermark()
    with state.read() as session:
        cursors = cursors_of(session, schedule)
    return sum(max(0, upto - cursors.get(node, 0)) for node, upto in watermark.items())


class Ticker:
    """One worker's schedules, run when they are due. `tick` is what the clock calls."""

    def __init__(
        self,
        state: State,
        store: Store,
        evaluator_for: Callable[[str], Evaluator],
        *,
        holder: str,
        limits: Limits,
        stop: threading.Event,
        clock: Callable[[], datetime],
    ) -> None:
        self._state, self._store, self._evaluator_for = state, store, evaluator_for
        self._holder, self._limits, self._stop, self._clock = holder, limits, stop, clock
        self._ended: dict[str, float] = {}
        self._moved = False
        self._troubled = False
        self.waiting = 0

    def moved(self) -> bool:
        """Whether work was done since the last question."""
        moved, self._moved = self._moved, False
        return moved

    def tick(self) -> None:
        """Run what is due. An error is logged and alarmed; the next tick tries again."""
        try:
            with self._state.read() as session:
                schedules = list(session.scalars(sa.select(ScheduleRow)))
                now = self._clock()
                awake = [s for s in schedules if not resting(session, s.name, now)]
            self.waiting = sum(lag(self._state, self._store, s.name) for s in awake)
            for schedule in awake:
                if self._due(schedule):
                    self._catch_up(schedule.name)
            if self._troubled:
                close_alarm(self._state, ALARM, now=self._clock())
                self._troubled = False
        except ConflictError:
            return  # overtaken: the other worker has the window
        except Exception as error:  # the clock must go on, whatever one tick met
            log.exception("detection met an error")
            try:
                raise_alarm(
                    self._state, ALARM, f"detection stands still: {error}", now=self._clock()
                )
                self._troubled = True
            except ServiceAwayError:
                log.critical("ALARM the state is away: detection stands still")

    def _due(self, schedule: ScheduleRow) -> bool:
        ended = self._ended.get(schedule.name)
        return ended is None or time.monotonic() - ended >= schedule.interval

    def _catch_up(self, schedule: str) -> None:
        """Windows until none waits. A failed one is tried again after the interval, not at once."""
        while not self._stop.is_set():
            with self._state.read() as session:
                if resting(session, schedule, self._clock()):
                    return
            result = run_once(
                self._state,
                self._store,
                self._evaluator_for(schedule),
                schedule=schedule,
                holder=self._holder,
                limits=self._limits,
                clock=self._clock,
            )
            self._ended[schedule] = time.monotonic()
            if result is None:
                return
            self.waiting = result.left
            if result.status == "failed":
                self.waiting += result.window.size
                return
            self._moved = True
            if not result.left:
                return


def detect_loop(
    state: State,
    store: Store,
    evaluator_for: Callable[[str], Evaluator],
    *,
    holder: str,
    interval: float = 3.0,
    limits: Limits = DEFAULT_LIMITS,
    stop: threading.Event,
    beat: Beat,
    clock: Callable[[], datetime] = utc_now,
) -> None:
    """Blocks until `stop`. `evaluator_for(schedule)` gives the active rule set, compiled."""
    from apscheduler.schedulers.background import BackgroundScheduler

    logging.getLogger("apscheduler").setLevel(
        logging.ERROR
    )  # a tick that finds one running is usual
    ensure_schedule(state, interval=interval, now=clock())
    ticker = Ticker(
        state, store, evaluator_for, holder=holder, limits=limits, stop=stop, clock=clock
    )
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.add_job(
        ticker.tick,
        "interval",
        seconds=min(TICK_SECONDS, interval),
        next_run_time=utc_now(),
        misfire_grace_time=None,
        coalesce=True,
        max_instances=1,
    )
    scheduler.start()
    try:
        while not stop.is_set():
            beat(progress=ticker.moved(), waiting=ticker.waiting)
            stop.wait(TICK_SECONDS)
    finally:
        scheduler.shutdown(wait=True)
