"""Correlations through runs: over stored matches, whatever the windows and the order of arrival."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session
from support.detecting import ColumnStore, MemoryStore, PlainEvaluator, event
from support.people import AUDITOR
from support.states import empty_state

from pipeline.detect.correlations import packing, stored
from pipeline.detect.correlations.correlation import Condition, Correlation
from pipeline.detect.correlations.stored import LATENESS
from pipeline.detect.register.rules import import_rules, list_rules
from pipeline.detect.running.active import ActiveRules
from pipeline.detect.running.findings import RuleFacts
from pipeline.detect.running.runs import Limits, run_once
from pipeline.model.clock import EPOCH
from pipeline.model.detections import Level
from pipeline.model.scope import OPERATOR
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingEvent, FindingRow, MatchBlob

NOW = EPOCH + timedelta(days=1)
BURST = Correlation(
    id="c", kind="event_count", rules=("r",), span=60_000_000, group_by=("host",),
    fields={"r": {"host": "host"}}, condition=Condition("gte", 3),
)  # fmt: skip


def correlating(c: Correlation = BURST) -> PlainEvaluator:
    rules = PlainEvaluator()
    rules.correlations, rules.silent = (c,), frozenset({"r"})
    rules.facts["c"] = RuleFacts(
        "c", "c1", "Ba lần trong một phút", Level.HIGH, "test", 600_000_000
    )
    return rules


def run(state: State, store: MemoryStore, now: object = NOW, **limits: int) -> None:
    while run_once(
        state,
        store,
        correlating(),
        holder="w",
        limits=Limits(**limits),
        clock=lambda: now,  # type: ignore[arg-type]
    ):
        pass


def findings(state: State) -> list[tuple[str, str, int, list[str]]]:
    with state.read() as session:
        rows = session.scalars(
            sa.select(FindingRow).where(FindingRow.merged_into == "").order_by(FindingRow.first)
        ).all()
        return [
            (
                row.rule,
                row.entity,
                row.count,
                sorted(
                    e.hex()
                    for e in session.scalars(
                        sa.select(FindingEvent.event).where(FindingEvent.finding == row.id)
                    )
                ),
            )
            for row in rows
        ]


def test_a_burst_spread_over_runs_is_found_when_its_last_event_comes(state: State) -> None:
    store = MemoryStore()
    for sequence, time in enumerate(
        (100, 200, 130, 155), 1
    ):  # 200 comes before 130: late events count
        store.add(event(sequence, time=time))
        run(state, store)
        assert len(findings(state)) == (sequence == 4)
    ((rule, entity, count, _),) = findings(state)
    assert (rule, entity, count) == ("c", "pc-1", 3 + 0)


def test_no_stored_match_is_read_or_encoded_while_others_wait_to_write(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, seen = [False], {True: 0, False: 0}
    begin = State.begin

    @contextmanager
    def told(self: State) -> Iterator[Session]:
        with begin(self) as session:
            writing[0] = True
            try:
                yield session
            finally:
                writing[0] = False

    def counted(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def count(given: Any) -> Any:
            seen[writing[0]] += 1
            return work(given)

        return count

    monkeypatch.setattr(State, "begin", told)
    monkeypatch.setattr(stored, "_opened", counted(stored._opened))
    monkeypatch.setattr(stored, "_encode", counted(stored._encode))
    monkeypatch.setattr(packing, "MANY", 5)
    store = MemoryStore()
    for sequence in range(1, 13):
        store.add(event(sequence, time=100 + sequence))
        run(state, store)
    assert [count for _, _, count, _ in findings(state)] == [12]
    with state.read() as session:
        assert len(session.scalars(sa.select(MatchBlob.rows)).all()) < 8
    assert seen[True] == 0
    assert seen[False] > 12


def test_stored_matches_are_forgotten_after_the_span_and_the_lateness(state: State) -> None:
    store = MemoryStore([event(1, time=100)])
    run(state, store)
    store.add(event(2, time=110))
    run(state, store, NOW + LATENESS + timedelta(seconds=121))
    with state.read() as session:
        assert session.scalars(sa.select(MatchBlob.rows)).all() == [1]


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["a", "b"])), min_size=1, max_size=25),
    st.integers(1, 6),
    st.randoms(use_true_random=False),
)
def test_any_order_and_any_windows_give_the_correlations_of_one_run(
    tmp_path_factory: pytest.TempPathFactory,
    seen: list[tuple[int, str]],
    window: int,
    random: object,
) -> None:
    def outcome(order: list[int], limit: int) -> list[tuple[str, int, list[tuple[int, str]]]]:
        state = empty_state(tmp_path_factory.mktemp("s") / "state.sqlite")
        rows = [event(n, time=seen[k][0], host=seen[k][1]) for n, k in enumerate(order, 1)]
        run(state, MemoryStore(rows), window=limit)
        named = {row["event.id"].hex(): k for row, k in zip(rows, order, strict=True)}
        found = [(e, c, sorted((named[i], "") for i in ids)) for _, e, c, ids in findings(state)]
        state.close()
        return sorted(found)

    order = list(range(len(seen)))
    shuffled = list(order)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert outcome(order, 1000) == outcome(shuffled, window)


RULES = """title: Failed logon
id: a0000000-0000-4000-8000-000000000000
name: failed
status: test
level: low
logsource: {product: windows, service: security}
detection:
    selection: {EventID: 4625}
    condition: selection
---
title: Password spray
id: b0000000-0000-4000-8000-000000000000
status: test
level: high
correlation:
    type: value_count
    rules: [failed]
    group-by: [IpAddress]
    timespan: 10m
    condition: {gte: 3, field: TargetUserName}
---
title: Spray for a year
id: c0000000-0000-4000-8000-000000000000
status: test
level: high
correlation:
    type: value_sum
    rules: [failed]
    timespan: 1y
    condition: {gte: 3, field: TargetUserName}
"""


def test_a_password_spray_in_sigmas_words_is_found_over_real_columns(
    state: State, tmp_path: Path
) -> None:
    (tmp_path / "spray.yml").write_text(RULES, "utf-8")
    import_rules(state, OPERATOR, [tmp_path / "spray.yml"], origin="ours", now=NOW)
    store = ColumnStore()
    for n, (user, ip) in enumerate(
        [
            ("an", "10.0.0.9"),
            ("AN", "10.0.0.9"),
            ("binh", "10.0.0.9"),
            ("chi", "10.0.0.9"),
            ("an", "10.0.0.8"),
        ],
        1,
    ):
        store.add(
            event(n, time=n * 60, dataset="windows.security")
            | {
                "event.code": "4625",
                "winlog.channel": "Security",
                "winlog.event_data.TargetUserName": user,
                "winlog.event_data.IpAddress": ip,
            }
        )
    active = ActiveRules(state)("main")
    result = run_once(state, store, active, holder="w", clock=lambda: NOW)  # type: ignore[arg-type]
    assert result is not None
    assert result.error == ""
    with state.read() as session:
        (finding,) = session.scalars(sa.select(FindingRow))
    assert (finding.title, finding.entity, finding.entity_field, finding.count) == (
        "Password spray",
        "10.0.0.9",
        "IpAddress",
        4,
    )
    standing = {
        line.title: (line.standing, line.why)
        for line in list_rules(state, AUDITOR, unfit=active.unfit)
    }
    assert standing["Password spray"] == ("runs", "")
    assert standing["Spray for a year"][0] == "cannot fire here"
    assert "timespan" in standing["Spray for a year"][1]
