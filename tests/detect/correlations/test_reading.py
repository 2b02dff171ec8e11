"""Correlations as Sigma's text has them: what runs, in our words, and what says why it cannot."""

from __future__ import annotations

from fractions import Fraction

import pytest

from pipeline.detect.correlations.correlation import NEW_VALUE, Condition, Correlation, Term
from pipeline.detect.correlations.reading import read_correlation, read_correlations
from pipeline.detect.rulebook.rules import Rule, rules_from_texts
from pipeline.model.errors import UsageError

RULES = {r.id: r for r in (Rule(id="id-a", title="A", name="fail"), Rule(id="id-b", title="B"))}
KNOWN = RULES | {"fail": RULES["id-a"], "other": RULES["id-b"]}


def rule(body: str, id_: str = "c", name: str = "") -> Rule:
    text = f"title: C\nid: c0000000-0000-4000-8000-000000000000\n{body}"
    return Rule(id=id_, title="C", kind="correlation", name=name, text=text)


def read(body: str) -> Correlation:
    return read_correlation(rule(body), KNOWN)


def short(body: str) -> Correlation:
    return read(f"correlation: {{timespan: 5m, {body}}}\n")


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
        counted=("who",), condition=Condition("gt", 4), across=True,
    )  # fmt: skip


def test_a_condition_keeps_what_follows_the_point() -> None:
    c = short("type: value_avg, rules: [fail], condition: {lte: 2.75, field: x}")
    assert (c.condition, c.counted) == (Condition("lte", Fraction(11, 4)), ("x",))
    c = short(
        "type: value_percentile, rules: [fail], condition: {gte: 9, field: x, percentile: 95}"
    )
    assert c.condition == Condition("gte", 9, 95)


def test_several_fields_are_counted_together() -> None:
    c = short("type: value_count, rules: [fail], condition: {gte: 9, field: [x, y]}")
    assert c.counted == ("x", "y")


@pytest.mark.parametrize(
    ("condition", "terms"),
    [
        ("fail and other", [Term(("id-a", "id-b"))]),
        ("other and fail", [Term(("id-b", "id-a"))]),
        ("fail or other", [Term(("id-a",)), Term(("id-b",))]),
        ("fail and not other", [Term(("id-a",), frozenset({"id-b"}))]),
        ("not (not fail or other)", [Term(("id-a",), frozenset({"id-b"}))]),
        ("fail and (other or not fail)", [Term(("id-a", "id-b"))]),
    ],
)
def test_an_expression_becomes_its_alternatives(condition: str, terms: list[Term]) -> None:
    c = short(f"type: temporal_ordered, condition: {condition}")
    assert list(c.terms) == terms
    assert c.waits == any(term.without for term in terms)


def test_a_temporal_correlation_may_ask_for_some_of_its_rules() -> None:
    c = short("type: temporal, rules: [fail, other], condition: {gte: 1}")
    assert (c.terms, c.condition) == ((), Condition("gte", 1))
    c = short("type: temporal, rules: [fail, other], condition: {gte: 2}")
    assert c.terms == (Term(("id-a", "id-b")),)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("type: event_count, rules: [gone], condition: {gte: 1}", "does not run here: gone"),
        ("type: temporal, rules: [fail]", "two rules or more"),
        ("type: value_sum, rules: [fail], condition: {gte: 3, field: [x, y]}", "one field"),
        ("type: event_count, rules: [fail], condition: {gte: 3, field: x}", "no field"),
        ("type: value_percentile, rules: [fail], condition: {gte: 3, field: x}", "percentile"),
        ("type: value_sum, rules: [fail], condition: {gte: .inf, field: x}", "no number|no valid"),
        ("type: temporal, condition: fail and not fail or not other and other", "never hold"),
        ("type: temporal, condition: fail or not other", "without any match"),
        ("type: temporal_ordered, rules: [fail, other], condition: {gte: 1}", "all of its rules"),
        (f"type: {NEW_VALUE}, rules: [fail], condition: {{gte: 3}}", "has no field"),
    ],
)
def test_what_cannot_run_says_why(body: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        short(body)


def test_a_span_longer_than_matches_are_kept_is_refused() -> None:
    with pytest.raises(UsageError, match="too long"):
        read("correlation: {type: event_count, rules: [fail], timespan: 2M, condition: {gte: 1}}\n")


def test_our_own_type_is_read_by_name_and_loaded_like_any_rule() -> None:
    body = f"type: {NEW_VALUE}, rules: [fail], group-by: [user], condition: {{field: country}}"
    c = short(body)
    assert (c.kind, c.counted, c.group_by) == (NEW_VALUE, ("country",), ("user",))
    text = f"title: New\nid: c0000000-0000-4000-8000-000000000000\ncorrelation: {{timespan: 9d, {body}}}"
    book = rules_from_texts([("new.yml", text)])
    assert ([r.title for r in book.correlations], book.faults) == (["New"], ())


SPRAY = rule(
    "correlation: {type: value_count, rules: [fail], group-by: [ip], timespan: 5m,"
    " aliases: {ip: {fail: src}}, condition: {gte: 3, field: user}}",
    "spray",
    "spray",
)
THEN = rule(
    "correlation: {type: temporal_ordered, rules: [spray, other], group-by: [address, host], timespan: 1h,"
    " aliases: {address: {spray: ip, other: remip}}}",
    "then",
)


def test_a_chain_asks_the_rules_at_its_bottom() -> None:
    (spray, then), unfit = read_correlations([THEN, SPRAY], KNOWN)
    assert (spray.id, then.id, unfit) == ("spray", "then", {})
    assert then.bases() == {"id-a": {"src", "user", "host"}, "id-b": {"remip", "host"}}
    assert then.reach == (3600 + 300) * 1_000_000
    assert then.routes() is None  # the spray's address does not decide the host


def test_the_group_of_a_chain_is_found_in_the_events_where_the_inner_group_decides_it() -> None:
    outer = rule(
        "correlation: {type: event_count, rules: [spray, other], group-by: [ip], timespan: 1h,"
        " condition: {gte: 2}}"
    )
    (_, c), _ = read_correlations([SPRAY, outer], KNOWN)
    assert c.routes() == (("id-a", ("src",)), ("id-b", ("ip",)))


def test_what_counts_itself_or_a_rule_that_does_not_run_is_unfit_and_so_is_what_counts_that() -> (
    None
):
    def counting(what: str, id_: str) -> Rule:
        return rule(
            f"correlation: {{type: event_count, rules: [{what}], timespan: 5m, condition: {{gte: 2}}}}",
            id_,
        )

    running, unfit = read_correlations(
        [counting("x2", "x1"), counting("x1", "x2"), counting("gone", "y1"), counting("y1", "y2")],
        KNOWN,
    )
    assert running == []
    assert {i: why.split(":")[0] for i, why in unfit.items()} == {
        "x1": "it counts itself, through the correlations that it names",
        "x2": "it counts itself, through the correlations that it names",
        "y1": "a rule that does not run here",
        "y2": "a rule that does not run here",
    }


def test_a_correlation_over_one_across_agencies_must_be_across_too() -> None:
    across = rule(SPRAY.text.split("\n", 2)[2] + "\nthapcanh: {across: agencies}", "spray", "spray")
    _, unfit = read_correlations([across, THEN], KNOWN)
    assert "across agencies" in unfit["then"]
