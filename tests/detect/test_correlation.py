"""Correlations against an oracle that tries every window, and their reading from Sigma's text."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.detect.correlation import (
    CENTRE,
    Correlation,
    Part,
    Stored,
    read_correlation,
    taking_part,
)
from pipeline.detect.rules import Rule
from pipeline.model.errors import UsageError

SPAN = 10


def stored(
    time: int, rule: str = "a", *, ip: str = "1", user: str = "an", event: str = ""
) -> Stored:
    return Stored(
        rule, event or f"{rule}{time}{ip}{user}", "ward", time, "n", time, {"ip": ip, "user": user}
    )


def correlation(kind: str, *rules: str, **more: object) -> Correlation:
    rules = rules or ("a",)
    fields = {rule: {"ip": "ip", "user": "user"} for rule in rules}
    return Correlation(
        id="c",
        kind=kind,
        rules=rules,
        span=SPAN,
        group_by=("ip",),
        fields=fields,
        **more,  # type: ignore[arg-type]
    )


def oracle(c: Correlation, matches: list[Stored]) -> set[tuple[str, str, str]]:
    """Every window of the span that starts at some event, tried one by one."""
    found: set[tuple[str, str, str]] = set()
    for key in {m.values["ip"] for m in matches if m.values["ip"]}:
        group = {
            (m.event, m.rule): m for m in matches if m.values["ip"] == key and m.rule in c.rules
        }
        for start in {m.time for m in group.values()}:
            inside = [m for m in group.values() if start <= m.time <= start + c.span]
            for m in _takes_part(c, inside):
                found.add((key, m.event, m.rule))
    return found


def _takes_part(c: Correlation, inside: list[Stored]) -> list[Stored]:
    if c.kind == "event_count":
        return inside if len({m.event for m in inside}) >= c.at_least else []
    if c.kind == "value_count":
        having = [m for m in inside if m.values.get("user")]
        return having if len({m.values["user"] for m in having}) >= c.at_least else []
    if c.kind == "temporal":
        return inside if {m.rule for m in inside} == set(c.rules) else []
    chains = product(*([m for m in inside if m.rule == rule] for rule in c.rules))
    return [
        m for chain in chains if list(chain) == sorted(chain, key=lambda m: m.time) for m in chain
    ]


def outcome(parts: list[Part]) -> set[tuple[str, str, str]]:
    keys = [(p.entity, p.match.event, p.match.rule) for p in parts]
    assert len(keys) == len(set(keys))
    return set(keys)


matches = st.lists(
    st.builds(
        lambda time, rule, ip, user: stored(time, rule, ip=ip, user=user),
        st.integers(0, 60),
        st.sampled_from("abc"),
        st.sampled_from(["1", "2", ""]),
        st.sampled_from(["an", "binh", "chi", ""]),
    ),
    max_size=22,
)
KINDS = [
    correlation("event_count", at_least=3),
    correlation("event_count", "a", "b", at_least=4),
    correlation("value_count", at_least=2),
    correlation("value_count", "a", "c", at_least=3),
    correlation("temporal", "a", "b"),
    correlation("temporal", "a", "b", "c"),
    correlation("temporal_ordered", "a", "b"),
    correlation("temporal_ordered", "c", "a", "b"),
]
KINDS = [
    Correlation(**{f: getattr(c, f) for f in c.__struct_fields__} | {"field": "user"})
    if c.kind == "value_count"
    else c
    for c in KINDS
]


@given(st.sampled_from(KINDS), matches, st.randoms(use_true_random=False))
def test_the_matches_that_take_part_are_those_of_the_oracle_in_any_order(
    c: Correlation, matches: list[Stored], random: object
) -> None:
    expected = oracle(c, matches)
    assert outcome(taking_part(c, matches)) == expected
    shuffled = matches * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert outcome(taking_part(c, shuffled)) == expected


@given(st.sampled_from(KINDS), matches, matches)
def test_more_events_only_add(c: Correlation, some: list[Stored], more: list[Stored]) -> None:
    assert outcome(taking_part(c, some)) <= outcome(taking_part(c, some + more))


def test_a_window_ends_on_the_very_microsecond_of_its_span() -> None:
    c = correlation("event_count", at_least=2)
    assert len(taking_part(c, [stored(0), stored(SPAN)])) == 2
    assert taking_part(c, [stored(0), stored(SPAN + 1)]) == []


def test_a_burst_that_crosses_a_clock_bucket_is_found_whole() -> None:
    c = correlation("event_count", at_least=4)
    assert [p.match.time for p in taking_part(c, [stored(t) for t in (1, 7, 9, 11, 13, 40)])] == [
        1,
        7,
        9,
        11,
        13,
    ]


def test_an_event_that_two_of_the_rules_match_counts_once() -> None:
    c = correlation("event_count", "a", "b", at_least=2)
    twice = [stored(1, "a", event="e"), stored(1, "b", event="e")]
    assert taking_part(c, twice) == []
    assert len(taking_part(c, [*twice, stored(2)])) == 3


def test_across_agencies_belongs_to_the_centre() -> None:
    one, other = stored(1), stored(2)
    other = Stored("a", "other", "ward-2", 2, "n", 2, other.values)
    assert taking_part(correlation("event_count", at_least=2), [one, other]) == []
    parts = taking_part(correlation("event_count", at_least=2, across=True), [one, other])
    assert [(p.agency, p.match.agency) for p in parts] == [(CENTRE, "ward"), (CENTRE, "ward-2")]


RULES = {r.id: r for r in (Rule(id="id-a", title="A", name="fail"), Rule(id="id-b", title="B"))}
KNOWN = RULES | {"fail": RULES["id-a"]}


def read(body: str) -> Correlation:
    text = f"title: C\nid: c0000000-0000-4000-8000-000000000000\n{body}"
    return read_correlation(Rule(id="c", title="C", kind="correlation", text=text), KNOWN)


def test_sigmas_text_is_read_with_aliases_and_names() -> None:
    assert read("""correlation:
  type: value_count
  rules: [fail, id-b]
  group-by: [ip]
  timespan: 5m
  condition: {gt: 4, field: who}
  aliases:
    ip: {fail: SourceIp, id-b: src}
    who: {fail: User}
thapcanh: {across: agencies}
""") == Correlation(
        id="c", kind="value_count", rules=("id-a", "id-b"), span=300_000_000, group_by=("ip",),
        fields={"id-a": {"ip": "SourceIp", "who": "User"}, "id-b": {"ip": "src", "who": "who"}},
        field="who", at_least=5, across=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("correlation", "why"),
    [
        (
            "{type: event_count, rules: [gone], timespan: 5m, condition: {gte: 1}}",
            "does not run here: gone",
        ),
        ("{type: event_count, rules: [fail], timespan: 5m, condition: {lt: 3}}", "only gt and gte"),
        (
            "{type: value_sum, rules: [fail], timespan: 5m, condition: {gte: 3, field: x}}",
            "value_sum",
        ),
        ("{type: temporal, rules: [fail], timespan: 5m}", "two rules or more"),
    ],
)
def test_what_cannot_run_says_why(correlation: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        read(f"correlation: {correlation}\n")
