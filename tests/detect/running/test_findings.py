"""Matches into rows of findings, on a real SQLite file."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.states import empty_state

from pipeline.detect.correlations.correlating import Undone
from pipeline.detect.running.episodes import unite
from pipeline.detect.running.findings import Applied, Hit, RuleFacts, apply_hits
from pipeline.detect.running.samples import MAX_SAMPLES
from pipeline.detect.running.withdraw import withdraw
from pipeline.model import fold
from pipeline.model.clock import EPOCH, from_micros
from pipeline.model.detections import Level, Match
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingEvent, FindingRow

QUIET = 10
RULE = RuleFacts("r", "v1", "Phun mật khẩu", Level.HIGH, "test", QUIET)
NOW = EPOCH + timedelta(days=1)


def hit(time: int, *, entity: str = "pc-1", revision: str = "v1", event: int | None = None) -> Hit:
    id_ = f"{time if event is None else event:032x}"
    return Hit(
        Match("r", revision, id_, "ward", entity, time, "n", time + 1),
        "host.name",
        {"a": str(time)},
    )


def apply(state: State, *hits: Hit, rule: RuleFacts = RULE) -> Applied:
    with state.begin() as session:
        return apply_hits(session, hits, {"r": rule}, run="run-1", now=NOW)


def findings(state: State, *, merged: bool = False) -> list[FindingRow]:
    with state.read() as session:
        rows = session.scalars(sa.select(FindingRow).order_by(FindingRow.first))
        return [row for row in rows if bool(row.merged_into) == merged]


def test_matches_of_one_episode_are_one_finding_with_its_count_span_and_samples(
    state: State,
) -> None:
    assert apply(state, hit(5), hit(9), hit(5)) == Applied(matches=2, born=1)
    (row,) = findings(state)
    assert (row.rule, row.revision, row.agency, row.entity) == ("r", "v1", "ward", "pc-1")
    assert (row.entity_field, row.level, row.status, row.title) == (
        "host.name",
        "high",
        "test",
        "Phun mật khẩu",
    )
    assert (row.first, row.last, row.count, row.number, row.born) == (
        from_micros(5),
        from_micros(9),
        2,
        1,
        1,
    )
    assert row.samples == [
        {"event": f"{5:032x}", "time": 5, "fields": {"a": "5"}},
        {"event": f"{9:032x}", "time": 9, "fields": {"a": "9"}},
    ]


def test_the_same_window_again_changes_nothing_not_even_a_number(state: State) -> None:
    apply(state, hit(5), hit(50))
    before = [(row.id, row.number, row.count) for row in findings(state)]
    assert apply(state, hit(50), hit(5)) == Applied()
    assert [(row.id, row.number, row.count) for row in findings(state)] == before


def test_an_event_counts_once_whichever_revision_matched_it(state: State) -> None:
    apply(state, hit(5))
    newer = RuleFacts("r", "v2", "Phun mật khẩu", Level.CRITICAL, "test", QUIET)
    apply(state, hit(5, revision="v2"), hit(6, revision="v2"), rule=newer)
    (row,) = findings(state)
    assert (row.count, row.revision, row.level) == (2, "v2", "critical")
    with state.read() as session:
        events = session.execute(
            sa.select(FindingEvent.time, FindingEvent.revision).order_by(FindingEvent.time)
        ).all()
    assert [tuple(e) for e in events] == [(from_micros(5), "v1"), (from_micros(6), "v2")]


def test_a_late_match_joins_two_findings_and_the_younger_says_into_which_it_was_merged(
    state: State,
) -> None:
    apply(state, hit(100))
    older = findings(state)[0].id
    apply(state, hit(82), hit(78))
    younger = findings(state)[0].id
    assert apply(state, hit(91)) == Applied(matches=1, extended=1, absorbed=1)
    (row,) = findings(state)
    (gone,) = findings(state, merged=True)
    assert (row.id, row.count, row.first, row.last) == (older, 4, from_micros(78), from_micros(100))
    assert [s["time"] for s in row.samples] == [78, 82, 91, 100]
    assert (gone.id, gone.merged_into, gone.count) == (younger, older, 2)
    assert row.number > 2
    assert gone.number > 2
    with state.read() as session:
        owners = set(session.scalars(sa.select(FindingEvent.finding)))
    assert owners == {older}


def test_entities_and_agencies_make_findings_of_their_own(state: State) -> None:
    apply(state, hit(1, entity="pc-1", event=1), hit(1, entity="pc-2", event=2))
    assert [row.count for row in findings(state)] == [1, 1]


def test_more_matches_than_samples_keep_an_exact_count_and_the_earliest_samples(
    state: State,
) -> None:
    apply(state, *(hit(t) for t in range(50, 100)))
    apply(state, *(hit(t) for t in range(30, 50)))
    (row,) = findings(state)
    assert row.count == 70
    assert [s["time"] for s in row.samples] == list(range(30, 30 + MAX_SAMPLES))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.integers(0, 120), min_size=1, max_size=25), st.randoms(use_true_random=False))
def test_findings_are_a_function_of_the_set_of_matches(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], random: object
) -> None:
    def outcome(order: list[int], step: int) -> list[tuple[object, ...]]:
        state = empty_state(tmp_path_factory.mktemp("s") / "state.sqlite")
        for start in range(0, len(order), step):
            apply(state, *(hit(t) for t in order[start : start + step]))
        rows = [(r.first, r.last, r.count, r.samples) for r in findings(state)]
        state.close()
        return rows

    shuffled = list(times)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert outcome(times, len(times)) == outcome(shuffled, 3)


SPELLED = ("PBN-PC07", "pbn-pc07", " Pbn-Pc07", "Hoà-PC", "HOA\N{COMBINING GRAVE ACCENT}-PC")


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from(SPELLED)), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
    st.integers(1, 5),
)
def test_an_entity_is_one_however_it_is_written_and_people_see_the_earliest_spelling_in_any_order(
    state: State, seen: list[tuple[int, str]], random: Random, size: int
) -> None:
    def outcome(hits: list[Hit], size: int, gone: set[int]) -> list[tuple[object, ...]]:
        with state.begin() as session:
            for table in (FindingEvent, FindingRow):
                session.execute(sa.delete(table))
        for start in range(0, len(hits), size):
            apply(state, *hits[start : start + size])
        with state.begin() as session:
            lost = session.scalars(
                sa.select(FindingEvent).where(
                    FindingEvent.event.in_([n.to_bytes(16, "big") for n in gone])
                )
            )
            withdraw(
                session,
                [Undone(e.rule, e.event.hex(), e.entity_key, e.finding) for e in lost],
                {"r": RULE}, now=NOW,
            )  # fmt: skip
            return sorted(
                (row.entity, row.entity_key, row.count, [s["event"] for s in row.samples])
                for row in session.scalars(
                    sa.select(FindingRow).where(FindingRow.merged_into == "", FindingRow.count > 0)
                )
            )

    hits = [hit(time, entity=entity, event=n) for n, (time, entity) in enumerate(seen)]
    gone = set(random.sample(range(len(hits)), len(hits) // 3))
    shuffled = random.sample(hits, len(hits))
    expected = []
    left = [h for n, h in enumerate(hits) if n not in gone]
    for key in {fold.entity(h.match.entity) for h in left}:
        matches = [h.match for h in left if fold.entity(h.match.entity) == key]
        for change in unite((), matches, QUIET):
            ids = [m.event for m in change.matches]
            expected.append((change.matches[0].entity, key, len(ids), ids))
    assert outcome(shuffled, size, gone) == sorted(expected)
    assert len({fold.entity(entity) for entity in SPELLED}) == 2
