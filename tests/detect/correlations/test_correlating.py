"""Correlations over runs: however the matches are ordered and cut, and whenever windows pass, the
findings are those of the oracle over all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.correlating import correlation, oracle, stored
from support.states import empty_state

from pipeline.detect.correlations import packing
from pipeline.detect.correlations.correlating import correlate
from pipeline.detect.correlations.correlation import NEW_VALUE, Condition, Correlation, Stored
from pipeline.detect.correlations.judging import Foreseen, foresee, is_due
from pipeline.detect.correlations.packing import pack
from pipeline.detect.running.findings import Hit, RuleFacts, apply_hits, lock_findings
from pipeline.detect.running.superseded import Gone, forget, take_back
from pipeline.detect.running.withdraw import withdraw
from pipeline.model.clock import EPOCH
from pipeline.model.detections import Level, Match
from pipeline.state.base import Base
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingEvent, FindingRow, Run

QUIET = 6
BASE = EPOCH + timedelta(days=400)
ZERO = 400 * 86_400_000_000


def inner(condition: Condition, **more: object) -> Correlation:
    return correlation("event_count", id="in", condition=condition, span=6, quiet=QUIET, **more)


CASES = [
    correlation("event_count", "a", "b", condition=Condition("gte", 3)),
    correlation("event_count", "a", "b", condition=Condition("lt", 2)),
    correlation("value_count", condition=Condition("eq", 2)),
    correlation("value_sum", "a", "b", condition=Condition("gte", 6)),
    correlation("value_avg", condition=Condition("gt", 3)),
    correlation("temporal", "a", "b", "c", terms=["a b !c"], across=True),
    correlation("temporal_ordered", "a", "b", "c", terms=["a b", "c"]),
    correlation(NEW_VALUE, "a", "b", span=25),
    correlation(
        "temporal_ordered", "in", "b", children=(inner(Condition("gte", 2)),), group_by=()
    ),
    correlation("temporal", "in", "b", children=(inner(Condition("lt", 2)),)),
    correlation(
        "event_count", "in", children=(inner(Condition("gte", 2)),), condition=Condition("gte", 2),
        span=30,
    ),
    correlation(
        "event_count", "in", children=(inner(Condition("lte", 2), group_by=("ip", "user")),),
        condition=Condition("lt", 3), span=12,
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    state = empty_state(tmp_path_factory.mktemp("s") / "state.sqlite")
    yield state
    state.close()


def at(moment: int) -> datetime:
    return BASE + timedelta(microseconds=moment)


def facts(c: Correlation) -> dict[str, RuleFacts]:
    return {c.id: RuleFacts(c.id, f"{c.id}1", "C", Level.HIGH, "test", QUIET)}


def empty(state: State) -> None:
    with state.begin() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(sa.delete(table))
        session.add(
            Run(id="run", schedule="s", kind="scheduled", ruleset="r", window={}, status="done",
                started=BASE, ended=None)
        )  # fmt: skip


def evaluate(
    state: State,
    c: Correlation,
    matches: Sequence[Stored],
    now: int,
    gone: Sequence[Stored] = (),
    foreseen: Foreseen | None = None,
) -> None:
    hits = hits_of(matches)
    with state.begin() as session:
        lock_findings(session)
        lost = [Gone(m.event, ZERO + m.time, m.node, m.sequence) for m in gone]
        made = correlate(
            session, [c], hits, facts(c), run="run", now=at(now), gone=forget(session, lost, [c]),
            foreseen=foreseen,
        )  # fmt: skip
        withdraw(session, made.undone, facts(c), now=at(now))
        apply_hits(session, made.hits, facts(c), run="run", now=at(now))
        take_back(session, lost, facts(c), now=at(now))


def foreseen_of(state: State, c: Correlation, matches: Sequence[Stored], now: int) -> Foreseen:
    with state.read() as session:
        return foresee(session, [c], hits_of(matches), facts(c), now=at(now))


def hits_of(matches: Sequence[Stored]) -> list[Hit]:
    return [
        Hit(
            Match(m.rule, "1", m.event, m.agency, "", ZERO + m.time, m.node, m.sequence),
            values=m.values,
        )
        for m in matches
    ]


Episode = tuple[str, str, tuple[str, ...]]


def held(state: State) -> set[Episode]:
    with state.read() as session:
        found = set()
        for row in session.scalars(
            sa.select(FindingRow).where(FindingRow.merged_into == "", FindingRow.count > 0)
        ):
            rows = session.scalars(
                sa.select(FindingEvent)
                .where(FindingEvent.finding == row.id)
                .order_by(FindingEvent.time, FindingEvent.event)
            ).all()
            assert (row.count, row.first, row.last) == (len(rows), rows[0].time, rows[-1].time)
            assert [s["event"] for s in row.samples][:20] == [r.event.hex() for r in rows[:20]]
            found.add((row.agency, row.entity, tuple(r.event.hex() for r in rows)))
        events = session.scalar(sa.select(sa.func.count()).select_from(FindingEvent))
        assert events == sum(len(ids) for _, _, ids in found)
    return found


def demanded(c: Correlation, matches: Sequence[Stored]) -> set[Episode]:
    times = {m.event: m.time for m in matches}
    groups: dict[tuple[str, str], set[str]] = defaultdict(set)
    for agency, entity, event, _ in oracle(c, matches):
        groups[agency, entity].add(event)
    found = set()
    for key, events in groups.items():
        order = sorted(events, key=lambda e: (times[e], e))
        episode = [order[0]]
        for event in order[1:]:
            if times[event] - times[episode[-1]] > QUIET:
                found.add((*key, tuple(episode)))
                episode = []
            episode.append(event)
        found.add((*key, tuple(episode)))
    return found


@pytest.fixture(autouse=True)
def _packed_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MANY", 3)


matches = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.sampled_from("aaabbc"),
        st.sampled_from("112"),
        st.sampled_from(["1", "2", "5", ""]),
        st.sampled_from("wwv"),
    ),
    min_size=1,
    max_size=22,
)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(CASES), matches, st.randoms(use_true_random=False))
def test_any_order_any_cut_and_any_clock_give_the_findings_of_the_oracle(
    state: State, c: Correlation, seen: list[tuple[int, str, str, str, str]], random: Random
) -> None:
    rows = [
        stored(time, rule, ip=ip, user=user, event=f"{n:032x}", ward=ward)
        for n, (time, rule, ip, user, ward) in enumerate(seen)
    ]
    left, now = list(rows), 0
    random.shuffle(left)
    empty(state)
    while left:
        size, now = random.randint(1, 6), now + random.randint(0, 30)
        foreseen = foreseen_of(state, c, left[:size], now) if random.random() < 0.7 else None
        if random.random() < 0.4:  # another worker comes between
            evaluate(state, c, left[size : size + 2], now + random.randint(-1, 1))
        if random.random() < 0.2:
            pack(state, [c])
        evaluate(state, c, left[:size], now, foreseen=foreseen)
        left = left[size:]
        if random.random() < 0.2:
            evaluate(state, c, random.sample(rows, 1) if random.random() < 0.5 else [], now)
            pack(state, [c])
    evaluate(state, c, [], now + 1_000)
    assert held(state) == demanded(c, rows)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(CASES), matches, st.randoms(use_true_random=False))
def test_what_superseded_events_had_helped_to_decide_is_decided_as_if_they_had_never_been(
    state: State, c: Correlation, seen: list[tuple[int, str, str, str, str]], random: Random
) -> None:
    rows = [
        stored(time, rule, ip=ip, user=user, event=f"{n:032x}", ward=ward)
        for n, (time, rule, ip, user, ward) in enumerate(seen)
    ]
    gone = random.sample(rows, random.randint(1, len(rows)))
    first, last = [m for m in rows if random.random() < 0.7 or m in gone], random.randint(20, 90)
    empty(state)
    evaluate(state, c, first, last)
    more = [m for m in rows if m not in first]
    foreseen = foreseen_of(state, c, more, last + 1) if random.random() < 0.5 else None
    if random.random() < 0.5:
        pack(state, [c])
    evaluate(state, c, more, last + 1, gone, foreseen)
    evaluate(state, c, [], last + 1_000, gone)
    assert held(state) == demanded(c, [m for m in rows if m not in gone])


def test_a_window_is_due_once_when_it_has_passed(state: State) -> None:
    c = correlation("event_count", condition=Condition("lt", 3))
    empty(state)
    evaluate(state, c, [stored(5, event="0" * 32)], 6)
    assert held(state) == set()
    with state.read() as session:
        assert [is_due(session, [c], at(now)) for now in (6, 14, 15)] == [False, False, True]
    evaluate(state, c, [], 15)
    assert held(state) == {("w", "1", ("0" * 32,))}
    with state.read() as session:
        assert not is_due(session, [c], at(15))
        assert not is_due(session, [c], at(16))


def test_what_a_late_event_undoes_is_taken_back_in_sight_and_comes_back_as_the_same_finding(
    state: State,
) -> None:
    c = correlation("value_sum", condition=Condition("gte", 5))
    empty(state)
    evaluate(state, c, [stored(5, user="7", event="1" * 32)], 6)
    evaluate(state, c, [stored(3, user="-1", event="2" * 32)], 20)
    assert held(state) == {("w", "1", ("2" * 32, "1" * 32))}
    evaluate(state, c, [stored(8, user="-9", event="3" * 32)], 21)
    with state.read() as session:
        (row,) = session.scalars(sa.select(FindingRow))
        assert (row.count, row.samples, row.undone) == (0, [], 2)
    evaluate(state, c, [stored(9, user="90", event="4" * 32)], 22)
    assert [len(ids) for _, _, ids in held(state)] == [4]
    with state.read() as session:
        assert len(session.scalars(sa.select(FindingRow)).all()) in (1, 2)


def test_what_lies_beyond_the_allowance_is_never_taken_back(state: State, tmp_path: Path) -> None:
    c = correlation("event_count", condition=Condition("lt", 2))
    empty(state)
    evaluate(state, c, [], 0)
    evaluate(state, c, [stored(5, event="1" * 32)], 90)
    evaluate(state, c, [stored(7, event="2" * 32)], 8 * 86_400_000_000)
    assert ("w", "1", ("1" * 32, "2" * 32)) in held(state)


def test_samples_name_the_columns_of_events_and_the_rule_beneath_whatever_chain(
    state: State,
) -> None:
    burst = inner(
        Condition("gte", 2), group_by=("address",), counted=(), fields={"a": {"address": "remip"}}
    )
    outer = correlation(
        "temporal_ordered", "in", "b", children=(burst,), group_by=("from",), counted=(),
        fields={"in": {"from": "address"}, "b": {"from": "c-ip"}},
    )  # fmt: skip
    hits = [
        Hit(
            Match(rule, "1", f"{time:032x}", "w", "", ZERO + time, "n", time),
            values={field: "192.0.2.1"},
        )
        for time, rule, field in ((1, "a", "remip"), (2, "a", "remip"), (3, "b", "c-ip"))
    ]
    known = {r: RuleFacts(r, "1", f"Rule {r}", Level.LOW, "test", QUIET) for r in ("a", "b")}
    empty(state)
    with state.begin() as session:
        lock_findings(session)
        made = correlate(
            session, [outer], hits, known | facts(outer), run="run", now=at(9),
            columns={"a": {"remip": "source.ip"}, "b": {"c-ip": "source.ip"}},
        )  # fmt: skip
        apply_hits(session, made.hits, facts(outer), run="run", now=at(9))
        (row,) = session.scalars(sa.select(FindingRow))
        samples = row.samples
    fields = {"source.ip": "192.0.2.1", "organization.id": "w"}
    assert samples == [
        {
            "event": f"{time:032x}",
            "time": ZERO + time,
            "fields": fields,
            "rule": rule,
            "rule_title": f"Rule {rule}",
        }
        for time, rule in ((1, "a"), (2, "a"), (3, "b"))
    ]
