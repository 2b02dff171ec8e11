"""What was evaluated and where the gaps are: together exactly the settled sequences."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.detecting import MemoryStore, PlainEvaluator, event

from pipeline.detect.running.coverage import Answer, Gap, coverage_of
from pipeline.detect.running.runs import Limits, backfill, run_once
from pipeline.model.clock import EPOCH
from pipeline.model.detections import Window
from pipeline.model.errors import NotFoundError
from pipeline.state.state import State
from pipeline.state.tables.rules import RuleRevision, RuleRow

NOW = EPOCH + timedelta(days=1)


@pytest.fixture
def state(state: State) -> State:
    with state.begin() as session:
        session.add(RuleRow(id="r", origin="shipped", path="r.yml", revision="v2", changed=EPOCH))
        for revision in ("v1", "v2", "v3"):
            session.add(
                RuleRevision(
                    revision=revision,
                    rule="r",
                    title="R",
                    level="high",
                    status="test",
                    text="",
                    added=EPOCH,
                )
            )
    return state


def run(state: State, store: MemoryStore, evaluator: PlainEvaluator, window: int = 1000) -> None:
    run_once(state, store, evaluator, holder="w", limits=Limits(window=window), clock=lambda: NOW)  # type: ignore[arg-type]


def spans(answer: Answer) -> list[tuple[str, int, int]]:
    return [(e.node, e.first, e.last) for e in answer.evaluated]


def test_gaps_carry_their_reasons_and_add_up_with_what_was_evaluated(state: State) -> None:
    store = MemoryStore([event(s) for s in range(1, 11)])
    run(state, store, PlainEvaluator(revision="v1"))
    store.add(*(event(s) for s in range(11, 21)))
    off = PlainEvaluator(revision="other")
    off.ruleset = "without"
    run(state, store, off)
    store.add(*(event(s) for s in range(21, 31)))
    unfit = PlainEvaluator(revision="other", unfit={"v1": "no column for Hashes"})
    unfit.ruleset = "unfit"
    run(state, store, unfit)
    store.add(*(event(s) for s in range(31, 41)))
    run(state, store, PlainEvaluator(revision="v2"))
    store.add(event(41, process="poison.exe"))
    run(state, store, PlainEvaluator(revision="v2"))
    store.add(event(42))
    answer = coverage_of(state, store.watermark(), "r")
    assert spans(answer) == [("n", 31, 40)]
    assert [(g.first, g.last, g.reason) for g in answer.gaps] == [
        (1, 10, "other_revision"),
        (11, 20, "not_active"),
        (21, 30, "cannot_fire"),
        (41, 41, "failed"),
        (42, 42, "pending"),
    ]
    assert "boom" in answer.gaps[3].detail
    assert answer.gaps[2].detail == "no column for Hashes"
    old = coverage_of(state, store.watermark(), "r", revision="v1")
    assert spans(old) == [("n", 1, 10)]
    covered = sum(e.last - e.first + 1 for e in answer.evaluated)
    assert covered + sum(g.last - g.first + 1 for g in answer.gaps) == 42


def test_a_backfill_fills_the_gap_it_ran_over(state: State) -> None:
    store = MemoryStore([event(s) for s in range(1, 11)])
    run(state, store, PlainEvaluator(revision="v1"))
    backfill(
        state,
        store,
        PlainEvaluator(revision="v2"),
        Window({"n": (3, 7)}),
        clock=lambda: NOW,  # type: ignore[arg-type]
    )
    answer = coverage_of(state, store.watermark(), "r")
    assert spans(answer) == [("n", 4, 7)]
    assert answer.gaps == (
        Gap("n", 1, 3, "other_revision", "v1"),
        Gap("n", 8, 10, "other_revision", "v1"),
    )


def test_an_agency_and_a_time_leave_the_intervals_that_hold_its_events(state: State) -> None:
    store = MemoryStore([event(1, time=100), event(2, time=200, agency="ward-2")])
    run(state, store, PlainEvaluator(revision="v2"))

    def asked(agency: str, start: int, stop: int) -> list[tuple[str, int, int]]:
        return spans(
            coverage_of(
                state,
                store.watermark(),
                "r",
                agency=agency,
                start=EPOCH + timedelta(seconds=start),
                stop=EPOCH + timedelta(seconds=stop),
            )
        )

    assert asked("ward-1", 100, 101) == [("n", 1, 2)]
    assert asked("ward-1", 101, 300) == []
    assert asked("ward-2", 0, 200) == []
    assert asked("ward-2", 200, 201) == [("n", 1, 2)]
    (one,) = coverage_of(state, store.watermark(), "r", agency="ward-2").evaluated
    assert list(one.agencies) == ["ward-2"]


def test_an_unknown_rule_or_revision_is_not_found(state: State) -> None:
    for rule, revision in (("x", ""), ("r", "v9")):
        with pytest.raises(NotFoundError):
            coverage_of(state, {}, rule, revision=revision)
