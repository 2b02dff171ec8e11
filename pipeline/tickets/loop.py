"""The main loop of the role *tickets*: changed findings into tickets, and the rounds, until told to stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from pipeline.detect.running.scheduler import Beat
from pipeline.model.clock import utc_now
from pipeline.model.errors import ServiceAwayError
from pipeline.state.alarms import close_alarm, raise_alarm
from pipeline.state.state import State
from pipeline.tickets.grouping import tickets_once
from pipeline.tickets.policy import DEFAULT_POLICY, Policy
from pipeline.tickets.rounds import Rounds

log = logging.getLogger(__name__)
ALARM: Final = "tickets:grouping"


def tickets_loop(
    state: State,
    *,
    policy: Policy = DEFAULT_POLICY,
    interval: float = 1.0,
    escalate_to: Sequence[str] = (),
    stop: threading.Event,
    beat: Beat,
    clock: Callable[[], datetime] = utc_now,
) -> None:
    """Blocks until `stop`. A batch that fails is logged, alarmed and tried again."""
    troubled = False
    rounds = Rounds(state, escalate_to)
    while not stop.is_set():
        try:
            grouped = tickets_once(state, now=clock(), policy=policy)
            rounds.walk(clock())
            if troubled:
                close_alarm(state, ALARM, now=clock())
                troubled = False
        except Exception as error:  # one bad batch must not end the role
            log.exception("findings could not be taken into tickets")
            troubled = _alarm(state, error, clock()) or troubled
            beat(progress=False, waiting=1)
            stop.wait(max(interval, 1.0))
            continue
        beat(progress=grouped is not None, waiting=grouped.left if grouped else 0)
        if grouped is None or not grouped.left:
            stop.wait(interval)


def _alarm(state: State, error: Exception, now: datetime) -> bool:
    try:
        raise_alarm(
            state, ALARM, f"findings do not become tickets, or clocks stand still: {error}", now=now
        )
    except ServiceAwayError:
        return False  # the log line is out; the state itself is away
    return True
