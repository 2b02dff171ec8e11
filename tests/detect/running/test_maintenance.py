"""Schedules at rest: why, until when, and what the coverage says of what waits."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from support.detecting import MemoryStore, PlainEvaluator, event
from support.people import AUDITOR, analyst

from pipeline.detect.running.coverage import coverage_of
from pipeline.detect.running.maintenance import cancel, declare, list_rests, resting
from pipeline.detect.running.runs import Limits
from pipeline.detect.running.scheduler import Ticker, ensure_schedule, lag, pause, resume, schedules
from pipeline.model.clock import EPOCH
from pipeline.model.errors import ForbiddenError, NotFoundError, UsageError
from pipeline.model.scope import OPERATOR
from pipeline.state.state import State
from pipeline.state.tables.rules import RuleRevision, RuleRow

NOW = EPOCH + timedelta(days=1)
HOUR = timedelta(hours=1)


class Worker:
    """A ticker whose clock stands where it is put."""

    def __init__(self, state: State, store: MemoryStore) -> None:
        self.now = NOW
        ensure_schedule(state, interval=0, now=NOW)
        self._ticker = Ticker(
            state, store, lambda _: PlainEvaluator(), holder="w", limits=Limits(),
            stop=threading.Event(), clock=lambda: self.now,
        )  # type: ignore[arg-type]  # fmt: skip

    def tick(self) -> None:
        self._ticker.tick()


def test_runs_wait_through_a_declared_span_and_then_catch_up(state: State) -> None:
    store = MemoryStore([event(1)])
    worker = Worker(state, store)
    id_ = declare(
        state, analyst(), starts=NOW + HOUR, ends=NOW + 3 * HOUR, reason="đổi máy", now=NOW
    )
    worker.tick()
    assert lag(state, store) == 0  # it has not begun
    store.add(event(2))
    worker.now = NOW + HOUR
    worker.tick()
    assert lag(state, store) == 1
    with state.read() as session:
        assert (
            resting(session, "main", worker.now)
            == (
                "maintenance until 02/01/1970 11:00:00, person:an: đổi máy"  # the city was at +08:00 then
            )
        )
    (rest,) = list_rests(state, AUDITOR, now=worker.now)
    assert (rest.id, rest.schedule, rest.standing) == (id_, "all", "now")
    worker.now = NOW + 3 * HOUR
    worker.tick()
    assert lag(state, store) == 0


def test_a_span_that_is_cancelled_ends_at_once(state: State) -> None:
    store = MemoryStore([event(1)])
    worker = Worker(state, store)
    id_ = declare(
        state, OPERATOR, schedule="main", starts=NOW, ends=NOW + HOUR, reason="x", now=NOW
    )
    worker.tick()
    assert lag(state, store) == 1
    cancel(state, OPERATOR, id_, now=NOW)
    worker.tick()
    assert lag(state, store) == 0
    assert [r.standing for r in list_rests(state, AUDITOR, now=NOW)] == ["cancelled"]


def test_the_coverage_shows_what_waits_with_the_reason(state: State) -> None:
    store = MemoryStore([event(1)])
    worker = Worker(state, store)
    with state.begin() as session:
        session.add(
            RuleRevision(
                revision="v1", rule="r", title="R", level="high", status="test", text="", added=NOW
            )
        )
        session.add(
            RuleRow(id="r", origin="o", path="r.yml", revision="v1", changed=NOW, retired=None)
        )
    worker.tick()
    store.add(event(2), event(3))
    pause(state, OPERATOR, "main", "đang sửa luật", now=NOW)
    worker.tick()
    answer = coverage_of(state, store.watermark(), "r", now=NOW)
    assert [(e.first, e.last) for e in answer.evaluated] == [(1, 1)]
    assert [(g.first, g.last, g.reason, g.detail) for g in answer.gaps] == [
        (2, 3, "pending", "paused, operator:home: đang sửa luật")
    ]
    (line,) = schedules(state, store, AUDITOR, now=NOW)
    assert (line.behind, line.rests) == (2, "paused, operator:home: đang sửa luật")
    resume(state, OPERATOR, "main", now=NOW)
    worker.tick()
    assert coverage_of(state, store.watermark(), "r", now=NOW).gaps == ()


def test_a_span_needs_a_reason_an_end_and_the_right(state: State) -> None:
    span = {"starts": NOW, "ends": NOW + HOUR, "reason": "x", "now": NOW}
    for more, why in (
        ({"reason": " "}, "reason"),
        ({"ends": NOW}, "no span"),
        ({"ends": NOW + timedelta(days=8)}, "no span"),
        ({"starts": NOW - 2 * HOUR, "ends": NOW - HOUR}, "no span"),
    ):
        with pytest.raises(UsageError, match=why):
            declare(state, OPERATOR, **span | more)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        declare(state, OPERATOR, schedule="other", **span)  # type: ignore[arg-type]
    with pytest.raises(ForbiddenError):
        declare(state, AUDITOR, **span)  # type: ignore[arg-type]
