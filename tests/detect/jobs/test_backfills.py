"""A new rule over what is stored: runs of its own, findings once, and the coverage of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.detecting import (
    FAILED_LOGON,
    FAILED_LOGON_TEXT,
    ColumnStore,
    PlainEvaluator,
    failed_logon,
)
from support.people import AUDITOR

from pipeline.detect.jobs import backfills
from pipeline.detect.jobs.backfills import backfill_rule, received_since
from pipeline.detect.register.rules import import_rules
from pipeline.detect.running.coverage import coverage_of
from pipeline.detect.running.runs import run_once
from pipeline.model.clock import EPOCH
from pipeline.model.detections import Window
from pipeline.model.errors import ForbiddenError, NotFoundError
from pipeline.model.scope import OPERATOR
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingEvent, Run

NOW = EPOCH + timedelta(days=40)
RULE = FAILED_LOGON
FAILED = f"""{FAILED_LOGON_TEXT}---
title: Two failures
id: b0000000-0000-4000-8000-000000000000
status: test
level: high
correlation: {{type: event_count, rules: [failed], group-by: [IpAddress], timespan: 3d, condition: {{gte: 2}}}}
"""


def seen(n: int, day: int) -> dict[str, Any]:
    return failed_logon(n, day * 86_400)


@pytest.fixture
def store(state: State, tmp_path: Path) -> ColumnStore:
    """Five events, four of them evaluated by a set without the rule."""
    store = ColumnStore([seen(n, day) for n, day in ((1, 5), (2, 20), (3, 21), (4, 39))])
    run_once(state, store, PlainEvaluator(), holder="w", clock=lambda: NOW)
    store.add(seen(5, 39))
    (tmp_path / "rules.yml").write_text(FAILED, "utf-8")
    import_rules(state, OPERATOR, [tmp_path / "rules.yml"], origin="ours", now=NOW)
    return store


def found(state: State, rule: str) -> list[int]:
    with state.read() as session:
        events = session.scalars(sa.select(FindingEvent.event).where(FindingEvent.rule == rule))
        return sorted(int.from_bytes(each[8:]) for each in events)


def test_a_rule_is_evaluated_over_the_chosen_span_and_the_coverage_tells(
    state: State, store: ColumnStore
) -> None:
    since = NOW - timedelta(days=30)
    for _ in range(2):  # a second time finds nothing new
        (run,) = backfill_rule(state, store, OPERATOR, RULE, since=since, now=NOW)
        assert (run.status, run.window) == ("done", Window({"n": (1, 4)}))
        assert found(state, RULE) == [2, 3, 4]
    with state.read() as session:
        assert session.scalars(sa.select(Run.kind).order_by(Run.started)).all() == [
            "scheduled", "backfill", "backfill",
        ]  # fmt: skip
    answer = coverage_of(state, store.watermark(), RULE)
    assert {(e.first, e.last) for e in answer.evaluated} == {(2, 4)}
    assert [(g.first, g.last, g.reason) for g in answer.gaps] == [
        (1, 1, "not_active"), (5, 5, "pending"),
    ]  # fmt: skip


def test_a_correlation_brings_the_rules_that_it_counts(state: State, store: ColumnStore) -> None:
    correlation = "b0000000-0000-4000-8000-000000000000"
    backfill_rule(state, store, OPERATOR, correlation, since=EPOCH, now=NOW)
    assert found(state, correlation) == [2, 3]


def test_the_span_is_found_in_pieces_from_the_newest(
    store: ColumnStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfills, "PIECE", 1)
    datasets = frozenset({"windows.security"})
    since = EPOCH + timedelta(days=21)
    assert received_since(store, {"n": 4}, datasets, since) == Window({"n": (2, 4)})
    assert received_since(store, {"n": 4}, datasets, NOW) == Window({})
    assert received_since(store, {}, datasets, EPOCH) == Window({})


def test_it_needs_the_right_and_a_rule(state: State, store: ColumnStore) -> None:
    with pytest.raises(ForbiddenError):
        backfill_rule(state, store, AUDITOR, RULE, since=EPOCH, now=NOW)
    with pytest.raises(NotFoundError):
        backfill_rule(state, store, OPERATOR, "gone", since=EPOCH, now=NOW)
