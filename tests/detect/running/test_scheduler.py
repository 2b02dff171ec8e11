"""The clock: runs when there is something, pauses with a reason, goes on after errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Self

import pytest
import sqlalchemy as sa
from support.detecting import MemoryStore, PlainEvaluator, event
from support.people import AUDITOR

from pipeline.detect.running.runs import Limits
from pipeline.detect.running.scheduler import detect_loop, ensure_schedule, lag, pause, resume
from pipeline.model.clock import utc_now
from pipeline.model.errors import ForbiddenError, NotFoundError, UsageError
from pipeline.model.scope import OPERATOR
from pipeline.state.alarms import open_alarms
from pipeline.state.state import State
from pipeline.state.tables.detection import Run


@pytest.fixture
def state(state: State) -> State:
    ensure_schedule(state, interval=0.05, now=utc_now())
    return state


class Looping:
    """`detect_loop` in a thread, for as long as the `with` lasts."""

    def __init__(
        self, state: State, store: MemoryStore, evaluator_for: Callable[[str], Any]
    ) -> None:
        self.stop = threading.Event()
        self.beats: list[tuple[bool, int]] = []
        self.thread = threading.Thread(
            target=detect_loop,
            args=(state, store, evaluator_for),
            kwargs={
                "holder": "w",
                "interval": 0.05,
                "limits": Limits(window=5),
                "stop": self.stop,
                "beat": self.beat,
            },
        )

    def beat(self, *, progress: bool = False, waiting: int = 0, detail: object = None) -> None:
        self.beats.append((progress, waiting))

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


def until(true: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return False


def runs(state: State) -> list[str]:
    with state.read() as session:
        return list(session.scalars(sa.select(Run.status).order_by(Run.started)))


def test_the_loop_catches_up_window_by_window_then_waits_for_the_watermark(state: State) -> None:
    store = MemoryStore([event(s) for s in range(1, 13)])
    with Looping(state, store, lambda _: PlainEvaluator()) as loop:
        assert until(lambda: lag(state, store) == 0)
        assert runs(state) == ["done"] * 3
        assert until(lambda: any(progress for progress, _ in loop.beats))
        time.sleep(0.3)
        assert runs(state) == ["done"] * 3
        store.add(event(13))
        assert until(lambda: lag(state, store) == 0)


def test_a_paused_schedule_does_not_run_and_its_lag_stays_visible(state: State) -> None:
    pause(state, OPERATOR, "main", "bảo trì", now=utc_now())
    store = MemoryStore([event(1)])
    with Looping(state, store, lambda _: PlainEvaluator()):
        time.sleep(0.4)
        assert runs(state) == []
        assert lag(state, store) == 1
        resume(state, OPERATOR, "main", now=utc_now())
        assert until(lambda: runs(state) == ["done"])


def test_a_loop_that_cannot_have_its_rules_raises_an_alarm_and_goes_on_when_it_can(
    state: State,
) -> None:
    broken = threading.Event()
    broken.set()

    def rules(_: str) -> PlainEvaluator:
        if broken.is_set():
            raise RuntimeError("no rules")
        return PlainEvaluator()

    store = MemoryStore([event(1)])
    with Looping(state, store, rules) as loop:
        assert until(lambda: [a.key for a in open_alarms(state)] == ["detect:loop"])
        assert until(lambda: (False, 1) in loop.beats)
        broken.clear()
        assert until(lambda: runs(state) == ["done"])
        assert until(lambda: open_alarms(state) == [])


def test_a_pause_needs_a_reason_a_schedule_and_the_right(state: State) -> None:
    with pytest.raises(UsageError, match="reason"):
        pause(state, OPERATOR, "main", " ", now=utc_now())
    with pytest.raises(NotFoundError):
        pause(state, OPERATOR, "other", "x", now=utc_now())
    with pytest.raises(ForbiddenError):
        pause(state, AUDITOR, "main", "x", now=utc_now())
