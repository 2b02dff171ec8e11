"""Stored matches stay small, and nothing that decides is lost by it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from support.correlating import correlation, stored
from support.states import empty_state

from pipeline.detect.correlations.correlation import (
    NEW_VALUE,
    Condition,
    Correlation,
    Stored,
    taking_part,
)
from pipeline.detect.correlations.packing import (
    FOREIGN,
    MANY,
    pack,
    prune,
    retention,
    sorted_by_retention,
    thinned,
)
from pipeline.detect.correlations.stored import LATENESS, decode, keep
from pipeline.model.clock import EPOCH
from pipeline.state.state import State
from pipeline.state.tables.detection import MatchBlob, Run

DAY = 86_400_000_000
HOUR = DAY // 24
NEW = correlation(NEW_VALUE, "a", span=3 * DAY)
BURST = correlation("event_count", "b", condition=Condition("gte", 2), span=HOUR)
NOW = EPOCH + timedelta(days=400)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = empty_state(tmp_path / "state.sqlite")
    with state.begin() as session:
        session.add(
            Run(id="run", schedule="s", kind="scheduled", ruleset="r", window={}, status="done",
                started=NOW, ended=None)
        )  # fmt: skip
    yield state
    state.close()


def blobs(state: State) -> list[list[Stored]]:
    with state.read() as session:
        bodies = session.scalars(sa.select(MatchBlob.body).order_by(MatchBlob.id))
        return [list(decode(body)) for body in bodies]


def put(state: State, *rows: Stored, created: timedelta = timedelta()) -> None:
    with state.begin() as session:
        for part in sorted_by_retention(rows, retention([NEW, BURST])):
            keep(session, part, "run", NOW - created)


def row(time: int, rule: str, event: int, user: str = "an") -> Stored:
    return stored(time, rule, event=f"{event:032x}", user=user)


def test_matches_of_a_month_do_not_make_those_of_an_hour_stay(state: State) -> None:
    put(state, row(1, "a", 1), row(1, "b", 2), created=LATENESS + timedelta(hours=3))
    assert sorted(len(each) for each in blobs(state)) == [1, 1]
    with state.begin() as session:
        assert prune(session, [NEW, BURST], NOW) == 1
    assert [m.rule for (m,) in blobs(state)] == ["a"]
    with state.begin() as session:
        assert prune(session, [NEW, BURST], NOW + timedelta(days=6)) == 1


def test_what_only_another_schedule_reads_is_left_to_it(state: State) -> None:
    for n in range(MANY):
        put(state, row(n, "a", n), created=LATENESS + timedelta(hours=3))
    with state.begin() as session:
        assert prune(session, [BURST], NOW) == 0
    assert [pack(state, [BURST]), pack(state, [])] == [0, 0]
    with state.begin() as session:
        assert prune(session, [BURST], NOW + FOREIGN) == MANY


def test_many_small_blobs_become_one_and_hold_the_same(state: State) -> None:
    rows = [row(n, "b", n) for n in range(MANY)]
    for each in rows[:-1]:
        put(state, each)
    assert pack(state, [NEW, BURST]) == 0
    put(state, rows[-1])
    assert pack(state, [NEW, BURST]) == MANY
    assert blobs(state) == [rows]


@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.integers(0, 23), st.sampled_from(["vn", "nl", "us"])),
        max_size=40,
    ),
    st.data(),
)
def test_first_and_last_of_a_day_decide_all_new_values(
    seen: list[tuple[int, int, str]], data: st.DataObject
) -> None:
    rows = sorted(
        (row(d * DAY + h * HOUR, "a", n, user) for n, (d, h, user) in enumerate(seen)),
        key=lambda m: (m.time, m.event, m.rule),
    )
    cut = data.draw(st.integers(0, len(rows)))
    late = data.draw(st.permutations(rows))
    early = sorted(late[:cut], key=lambda m: (m.time, m.event, m.rule))
    few = thinned([*thinned(early, {"a"}), *late[cut:]], set())
    few = sorted(few, key=lambda m: (m.time, m.event, m.rule))
    assert {p.match.event for p in taking_part(NEW, few)} == {
        p.match.event for p in taking_part(NEW, rows)
    }


def test_a_rule_that_others_read_is_not_thinned(state: State) -> None:
    from pipeline.detect.correlations.packing import _seldom

    both = correlation("event_count", "a", condition=Condition("gte", 2))
    chain = correlation("temporal", "c", "b", children=(_named(NEW, "c"),))
    assert (_seldom([NEW]), _seldom([NEW, both]), _seldom([chain])) == ({"a"}, set(), {"a"})


def _named(c: Correlation, name: str) -> Correlation:
    return Correlation(**{f: getattr(c, f) for f in c.__struct_fields__} | {"id": name})
