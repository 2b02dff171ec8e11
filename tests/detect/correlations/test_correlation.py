"""Correlations against an oracle that tries every window."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.correlating import SPAN, Taken, correlation, oracle, stored

from pipeline.detect.correlations.correlation import (
    CENTRE,
    NEW_VALUE,
    Condition,
    Correlation,
    Part,
    Stored,
    taking_part,
)

OPERATORS = ("gt", "gte", "lt", "lte", "eq", "neq")


def outcome(parts: list[Part]) -> Taken:
    keys = [(p.agency, p.entity, p.match.event, p.match.rule) for p in parts]
    assert len(keys) == len(set(keys))
    return set(keys)


def chain(kind: str = "event_count", *, quiet: int = 4, **more: object) -> Correlation:
    inner = correlation(
        "value_count", "a", "b", id="in", condition=Condition("gte", 2), quiet=quiet
    )
    return correlation(kind, "in", "c", children=(inner,), **more)


def undone(kind: str = "temporal") -> Correlation:
    """A chain over a correlation that waits."""
    inner = correlation("event_count", id="in", condition=Condition("lt", 2), span=6)
    return correlation(kind, "in", "b", children=(inner,))


RISING = [
    correlation("event_count", condition=Condition("gte", 3)),
    correlation("event_count", "a", "b", condition=Condition("gt", 3)),
    correlation("value_count", condition=Condition("gte", 2)),
    correlation("value_count", "a", "c", condition=Condition("gte", 3), across=True),
    correlation("value_count", "a", "b", condition=Condition("gte", 2), group_by=()),
    correlation("temporal", "a", "b"),
    correlation("temporal", "a", "b", "c"),
    correlation("temporal", "a", "b", "c", condition=Condition("gte", 2)),
    correlation("temporal", "a", "b", "c", terms=["a b", "c"]),
    correlation("temporal_ordered", "a", "b"),
    correlation("temporal_ordered", "c", "a", "b"),
    correlation("temporal_ordered", "a", "b", "c", terms=["a b", "c b"]),
    chain("temporal_ordered"),
    chain("temporal"),
]
OTHERS = [
    *(correlation("event_count", "a", "b", condition=Condition(op, 2)) for op in OPERATORS),
    *(correlation("value_count", condition=Condition(op, 2)) for op in OPERATORS),
    correlation("value_sum", "b", "a", condition=Condition("gte", 7)),
    correlation("value_sum", condition=Condition("lt", Fraction("2.5"))),
    correlation("value_avg", "a", "b", condition=Condition("gt", Fraction("3.25"))),
    correlation("value_median", condition=Condition("eq", Fraction("2.5"))),
    correlation("value_percentile", condition=Condition("gte", 5, 90)),
    correlation("value_percentile", "b", "a", condition=Condition("lte", 2, 25)),
    correlation("temporal", "a", "b", "c", terms=["a b !c"]),
    correlation("temporal", "a", "b", terms=["a !b", "b !a"]),
    correlation("temporal_ordered", "a", "b", "c", terms=["b a !c", "c a"]),
    correlation(NEW_VALUE),
    correlation(NEW_VALUE, "a", "b", group_by=(), span=25),
    chain("event_count", condition=Condition("gte", 2)),
    chain("event_count", condition=Condition("gte", 2), quiet=1, span=30),
    undone(),
    undone("temporal_ordered"),
]

USERS = ["an", "binh", "chi", "", "1", "2", "2.5", "5", "-4", "7"]
matches = st.lists(
    st.builds(
        lambda time, rule, ip, user, ward, twin: stored(
            time, rule, ip=ip, user=user, ward=ward, event=f"{time}{ip}" if twin else ""
        ),
        st.integers(0, 60),
        st.sampled_from("abc"),
        st.sampled_from(["1", "2", ""]),
        st.sampled_from(USERS),
        st.sampled_from(["w", "w", "v"]),
        st.booleans(),
    ),
    max_size=20,
    unique_by=lambda m: (m.event, m.rule),
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(RISING + OTHERS), matches, st.randoms(use_true_random=False))
def test_the_matches_that_take_part_are_those_of_the_oracle_in_any_order(
    c: Correlation, matches: list[Stored], random: object
) -> None:
    expected = oracle(c, matches)
    assert outcome(taking_part(c, matches)) == expected
    shuffled = matches * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert outcome(taking_part(c, shuffled)) == expected


@given(st.sampled_from(RISING + OTHERS), matches, st.integers(0, 90))
def test_windows_that_cannot_be_judged_yet_are_left_out(
    c: Correlation, matches: list[Stored], now: int
) -> None:
    assert outcome(taking_part(c, matches, now)) == oracle(c, matches, now)


@given(st.sampled_from(RISING), matches, matches)
def test_more_events_only_add_where_nothing_can_be_undone(
    c: Correlation, some: list[Stored], more: list[Stored]
) -> None:
    assert not c.undoable
    known = {(m.event, m.rule) for m in some}
    more = [m for m in more if (m.event, m.rule) not in known]
    assert outcome(taking_part(c, some)) <= outcome(taking_part(c, some + more))


@given(st.sampled_from(RISING + OTHERS), matches, st.integers(-20, 80))
def test_what_a_match_decides_lies_within_the_reach(
    c: Correlation, matches: list[Stored], place: int
) -> None:
    near = [m for m in matches if abs(m.time - place) <= c.reach]
    whole = outcome(taking_part(c, matches))
    times = {(m.event, m.rule): m.time for m in matches}
    inner = {e: t for (e, r), t in times.items() if r not in c.rules}
    for part in whole ^ outcome(taking_part(c, near)):
        assert times.get(part[2:], inner.get(part[2])) != place


def test_a_window_ends_on_the_very_microsecond_of_its_span() -> None:
    c = correlation("event_count", condition=Condition("gte", 2))
    assert len(taking_part(c, [stored(0), stored(SPAN)])) == 2
    assert taking_part(c, [stored(0), stored(SPAN + 1)]) == []


def test_a_burst_that_crosses_a_clock_bucket_is_found_whole() -> None:
    c = correlation("event_count", condition=Condition("gte", 4))
    found = taking_part(c, [stored(t) for t in (1, 7, 9, 11, 13, 40)])
    assert [p.match.time for p in found] == [1, 7, 9, 11, 13]


def test_an_event_that_two_of_the_rules_match_counts_once() -> None:
    c = correlation("event_count", "a", "b", condition=Condition("gte", 2))
    twice = [stored(1, "a", event="e"), stored(1, "b", event="e")]
    assert taking_part(c, twice) == []
    assert len(taking_part(c, [*twice, stored(2)])) == 3


def test_across_agencies_belongs_to_the_centre() -> None:
    two = [stored(1), stored(2, ward="v")]
    assert taking_part(correlation("event_count", condition=Condition("gte", 2)), two) == []
    parts = taking_part(correlation("event_count", condition=Condition("gte", 2), across=True), two)
    assert [(p.agency, p.match.agency) for p in parts] == [(CENTRE, "w"), (CENTRE, "v")]


def test_ten_failed_logins_are_one_spray_to_a_correlation_that_counts_sprays() -> None:
    sprays = chain(condition=Condition("gte", 2), span=100)
    one = [stored(t, user=f"u{t}") for t in range(10)]
    assert taking_part(sprays, one) == []
    assert len(taking_part(sprays, one + [stored(t, user=f"u{t}") for t in range(30, 33)])) == 13


def test_a_first_value_of_a_group_is_nothing_new_and_an_old_one_is_new_again() -> None:
    c = correlation(NEW_VALUE)
    seen = [stored(0, user="vn"), stored(5, user="vn"), stored(7, user="nl"), stored(16, user="vn")]
    assert [p.match.time for p in taking_part(c, seen)] == [7, 16]


def test_sums_are_exact_where_floats_are_not() -> None:
    c = correlation("value_sum", condition=Condition("eq", Fraction("0.3")))
    assert len(taking_part(c, [stored(1, user="0.1"), stored(2, user="0.2")])) == 2


@pytest.mark.parametrize("text", ["1e999999", "nan", "0x10", "١", "9" * 31, ""])
def test_what_is_no_plain_number_is_not_measured(text: str) -> None:
    c = correlation("value_sum", condition=Condition("gte", -1))
    assert taking_part(c, [stored(1, user=text)]) == []


def test_ten_thousand_matches_of_one_group_cost_one_sweep() -> None:
    rows = [stored(n // 3, "ab"[n % 2], event=f"{n:032x}", user=str(n % 50)) for n in range(10_000)]
    for c in (*RISING[:12], *OTHERS[:-4]):
        wide = Correlation(**{f: getattr(c, f) for f in c.__struct_fields__} | {"span": 100_000})
        taking_part(wide, rows)
