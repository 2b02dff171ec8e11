"""Runs: windows, cursors, leases, failures, kills; the same findings whatever happens in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.detecting import MemoryStore, PlainEvaluator, event
from support.states import empty_state

from pipeline.detect.running import leases
from pipeline.detect.running.runs import Limits, RunResult, backfill, cursors_of, run_once
from pipeline.detect.running.window import next_window
from pipeline.model.clock import EPOCH
from pipeline.model.detections import Window
from pipeline.model.errors import ConflictError
from pipeline.state.alarms import open_alarms
from pipeline.state.state import State
from pipeline.state.tables.detection import Coverage, Cursor, FindingEvent, FindingRow, Run

NOW = EPOCH + timedelta(days=1)


def run(
    state: State, store: MemoryStore, evaluator: PlainEvaluator, **limits: int
) -> RunResult | None:
    return run_once(
        state,
        store,  # type: ignore[arg-type]
        evaluator,
        holder="w1",
        limits=Limits(**limits),
        clock=lambda: NOW,
    )


def outcome(state: State) -> dict[tuple[str, str], list[str]]:
    """(agency, entity) → event ids, of each living finding."""
    with state.read() as session:
        found = session.execute(
            sa.select(FindingRow.agency, FindingRow.entity, FindingEvent.event)
            .join(FindingEvent, FindingEvent.finding == FindingRow.id)
            .where(FindingRow.merged_into == "")
            .order_by(FindingEvent.event)
        )
        result: dict[tuple[str, str], list[str]] = {}
        for agency, entity, id_ in found:
            result.setdefault((agency, entity), []).append(id_.hex())
        return result


def intervals(state: State) -> list[tuple[str, str, int, int, bool]]:
    with state.read() as session:
        rows = session.scalars(sa.select(Coverage).order_by(Coverage.id))
        return [(r.node, r.ruleset, r.first, r.last, r.closed) for r in rows]


def test_a_run_takes_what_waits_and_the_next_has_nothing_to_do(state: State) -> None:
    store = MemoryStore([event(1), event(2, process="calc.exe"), event(3, agency="ward-2")])
    result = run(state, store, PlainEvaluator())
    assert result is not None
    assert (result.status, result.events, result.applied.matches, result.left) == ("done", 3, 2, 0)
    assert run(state, store, PlainEvaluator()) is None
    assert store.scans == 1
    with state.read() as session:
        assert cursors_of(session, "main") == {"n": 3}
        (row,) = session.scalars(sa.select(Run))
    assert (row.status, row.window, row.events, row.matches, row.rules) == (
        "done",
        {"n": [0, 3]},
        3,
        2,
        1,
    )
    assert intervals(state) == [("n", "set-v1", 1, 3, False)]
    with state.read() as session:
        (covered,) = session.scalars(sa.select(Coverage))
    assert covered.agencies == {
        "ward-1": {"events": 2, "first": 1_000_000, "last": 2_000_000},
        "ward-2": {"events": 1, "first": 3_000_000, "last": 3_000_000},
    }


def test_windows_are_bounded_and_shared_among_nodes() -> None:
    waiting = {"a": 1_000, "b": 5, "c": 400}
    assert next_window({"c": 100}, waiting, 100) == Window(
        {"a": (0, 48), "b": (0, 5), "c": (100, 147)}
    )
    assert next_window({"a": 1_000, "b": 5, "c": 400}, waiting, 100) == Window({})
    assert next_window({}, {"a": 9, "b": 9}, 1).size == 1


@pytest.mark.parametrize("limits", [{"window": 7}, {"matches": 1}, {"window": 5, "matches": 2}])
def test_bounded_windows_and_transactions_give_the_findings_of_one_big_run(
    state: State, tmp_path: Path, limits: dict[str, int]
) -> None:
    rows = [event(s, node=n, host=f"pc-{s % 3}") for n in ("a", "b") for s in range(1, 21)]
    store = MemoryStore(rows)
    whole = empty_state(tmp_path / "whole.sqlite")
    run(whole, store, PlainEvaluator())
    while run(state, store, PlainEvaluator(), **limits) is not None:
        pass
    assert outcome(state) == outcome(whole)
    assert sorted(intervals(state)) == sorted(intervals(whole))
    with state.read() as session, whole.read() as other:
        mine = {c.node: c.agencies for c in session.scalars(sa.select(Coverage))}
        assert mine == {c.node: c.agencies for c in other.scalars(sa.select(Coverage))}
    whole.close()


def test_a_changed_rule_set_goes_on_at_the_same_cursor_in_an_interval_of_its_own(
    state: State,
) -> None:
    store = MemoryStore([event(1), event(2)])
    run(state, store, PlainEvaluator())
    store.add(event(3))
    run(state, store, PlainEvaluator(revision="v2"))
    assert intervals(state) == [("n", "set-v1", 1, 2, True), ("n", "set-v2", 3, 3, False)]


def test_a_backfill_finds_what_a_new_rule_would_have_found_and_moves_no_cursor(
    state: State,
) -> None:
    store = MemoryStore([event(1, process="evil.exe"), event(2), event(3)])
    run(state, store, PlainEvaluator())
    results = backfill(
        state,
        store,  # type: ignore[arg-type]
        PlainEvaluator("mimikatz.exe", "evil.exe", revision="v2"),
        Window({"n": (0, 99)}),
        limits=Limits(window=2),
        clock=lambda: NOW,
    )
    assert [(r.status, r.applied.matches) for r in results] == [("done", 1), ("done", 0)]
    assert [len(ids) for ids in outcome(state).values()] == [3]
    with state.read() as session:
        assert cursors_of(session, "main") == {"n": 3}
    assert intervals(state) == [
        ("n", "set-v1", 1, 3, False),
        ("n", "set-v2", 1, 2, True),
        ("n", "set-v2", 3, 3, True),
    ]


def test_a_poisonous_table_fails_the_run_by_name_and_leaves_the_cursor(state: State) -> None:
    store = MemoryStore([event(1), event(2, process="poison.exe")])
    result = run(state, store, PlainEvaluator())
    assert result is not None
    assert result.status == "failed"
    assert "windows.sysmon, node n, sequences 1 to 2" in result.error
    assert outcome(state) == {}
    assert intervals(state) == []
    with state.read() as session:
        assert list(session.scalars(sa.select(Cursor))) == []
        assert [r.status for r in session.scalars(sa.select(Run))] == ["failed"]
    assert [a.key for a in open_alarms(state)] == ["detect:main"]
    store.rows[1]["process.name"] = "calc.exe"
    again = run(state, store, PlainEvaluator())
    assert again is not None
    assert again.status == "done"
    assert open_alarms(state) == []


def test_two_workers_never_evaluate_one_window_twice(state: State) -> None:
    with state.begin() as session:
        other = leases.take(session, "detect:main", "w2", now=NOW, seconds=60)
    assert other is not None
    store = MemoryStore([event(1)])
    assert run(state, store, PlainEvaluator()) is None
    with state.begin() as session:
        leases.give_back(session, other)
    assert run(state, store, PlainEvaluator()) is not None


def test_a_worker_that_was_overtaken_commits_nothing(state: State) -> None:
    class Slow(PlainEvaluator):
        def evaluate(self, dataset: str, table: object) -> list:  # type: ignore[type-arg]
            with state.begin() as session:
                late = NOW + timedelta(seconds=61)
                assert leases.take(session, "detect:main", "w2", now=late, seconds=60) is not None
            return list(super().evaluate(dataset, table))

    with pytest.raises(ConflictError, match="taken the lease over"):
        run(state, MemoryStore([event(1)]), Slow())
    assert outcome(state) == {}
    assert intervals(state) == []


KILLED = """
    import os, signal, sys
    sys.path.insert(0, {tests!r})
    from support.detecting import MemoryStore, PlainEvaluator, event
    from pipeline.detect.running.runs import Limits, run_once
    from pipeline.state.state import State
    from pipeline.store import steps

    passed = 0
    def die(name):
        global passed
        if name == {point!r}:
            passed += 1
            if passed == {nth}:
                os.kill(os.getpid(), signal.SIGKILL)
    steps.on_step = die
    rows = [event(s, host="pc-%d" % (s % 3)) for s in range(1, 31)]
    state, store = State.open({url!r}), MemoryStore(rows)
    while run_once(state, store, PlainEvaluator(), holder="w1", limits=Limits(window=8, matches=3)):
        pass
"""
POINTS = ("run.begun", "run.matched", "run.findings", "run.before_commit", "run.committed")


@pytest.mark.faults
@pytest.mark.parametrize(("point", "nth"), [(p, n) for p in POINTS for n in (1, 3)])
def test_a_run_killed_anywhere_and_continued_gives_the_findings_of_an_undisturbed_one(
    state: State, tmp_path: Path, point: str, nth: int
) -> None:
    rows = [event(s, host=f"pc-{s % 3}") for s in range(1, 31)]
    whole = empty_state(tmp_path / "whole.sqlite")
    run(whole, MemoryStore(rows), PlainEvaluator())
    url = state.engine.url.render_as_string(hide_password=False)
    tests = str(Path(__file__).resolve().parents[2])
    code = textwrap.dedent(KILLED).format(tests=tests, point=point, nth=nth, url=url)
    died = subprocess.run([sys.executable, "-c", code], check=False, env=dict(os.environ))
    assert died.returncode == -signal.SIGKILL
    while (
        run_once(
            state,
            MemoryStore(rows),  # type: ignore[arg-type]
            PlainEvaluator(),
            holder="w1",
            limits=Limits(window=8, matches=3),
        )
        is not None
    ):
        pass
    assert outcome(state) == outcome(whole)
    assert intervals(state) == intervals(whole)
    whole.close()
