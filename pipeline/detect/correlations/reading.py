"""Correlations from their texts: which can run here, and why the others cannot.

In: rules of the kind *correlation* and the rules that run. Out: `Correlation`s, an inner one before
those that name it, and a reason for each that cannot fire here. Sigma's text is read by pySigma; what
is ours stands under names of ours:

    correlation:
        type: thapcanh_new_value      # a value that the group has not had within the timespan
        rules: [vpn_tunnel_up]
        group-by: [user]
        timespan: 30d
        condition: {field: country}
    thapcanh: {across: agencies}      # over all agencies together: the finding is the centre's
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

import msgspec

from pipeline.detect.correlations.correlation import (
    MEASURES,
    NEW_VALUE,
    Condition,
    Correlation,
    Term,
)
from pipeline.detect.correlations.kinds import TYPES, number_of
from pipeline.detect.rulebook.rules import Rule
from pipeline.model.errors import UsageError

MAX_SPAN: Final = 31 * 86_400_000_000
"""How long matches are kept for one correlation at most, in microseconds."""
MAX_TERMS: Final = 64


def read_correlations(
    rules: Iterable[Rule], known: Mapping[str, Rule]
) -> tuple[list[Correlation], dict[str, str]]:
    """Those that run, and by rule id why the others do not. `known` maps ids and names to the
    single-event rules that run."""
    waiting = {rule.id: rule for rule in rules}
    names = {name: rule.id for rule in waiting.values() for name in (rule.id, rule.name) if name}
    running: dict[str, Correlation] = {}
    unfit: dict[str, str] = {}
    while waiting:
        ready = [
            rule
            for rule in waiting.values()
            if not any(names.get(name) in waiting for name in named(rule))
        ]
        for rule in ready:
            del waiting[rule.id]
            inner = {name: running[i] for name, i in names.items() if i in running}
            try:
                running[rule.id] = read_correlation(rule, known, inner)
            except UsageError as error:
                unfit[rule.id] = str(error)
        if not ready:
            unfit |= dict.fromkeys(
                waiting, "it counts itself, through the correlations that it names"
            )
            break
    return list(running.values()), unfit


def named(rule: Rule) -> tuple[str, ...]:
    """The ids or names of the rules that a correlation counts; empty for a text that is none."""
    try:
        return _references(_parsed(_document(rule)))
    except UsageError:
        return ()


def sigma_shape(given: Mapping[str, Any]) -> dict[str, Any]:
    """The document with our own type in the dress of the one that pySigma knows best."""
    body = given.get("correlation")
    if not isinstance(body, Mapping) or body.get("type") != NEW_VALUE:
        return dict(given)
    condition = body.get("condition")
    if not isinstance(condition, Mapping) or set(condition) != {"field"}:
        raise UsageError(f"{NEW_VALUE} has no field", expected="condition: {field: …}")
    dress = {"type": "value_count", "condition": {**condition, "gte": 1}}
    return {**given, "correlation": {**body, **dress}}


def read_correlation(
    rule: Rule, known: Mapping[str, Rule], inner: Mapping[str, Correlation] | None = None
) -> Correlation:
    """The correlation of a rule; `known` maps ids and names to the rules that run, `inner` to the
    correlations that do. UsageError says why it cannot fire here."""
    given, inner = _document(rule), inner or {}
    parsed = _parsed(given)
    kind = str(given["correlation"]["type"]).lower()
    if kind not in TYPES:
        raise UsageError(f"correlations of type {kind} are not evaluated by this version")
    names = _references(parsed)
    missing = [name for name in names if name not in known and name not in inner]
    if missing:
        raise UsageError(f"a rule that does not run here: {', '.join(missing)}")
    ids = {name: inner[name].id if name in inner else known[name].id for name in names}
    rules = tuple(dict.fromkeys(ids.values()))
    span = parsed.timespan.seconds * 1_000_000
    if span > MAX_SPAN:
        raise UsageError(
            "the timespan is too long", got=parsed.timespan.spec, expected="at most 31d"
        )
    group_by = tuple(parsed.group_by or ())
    counted, condition = _condition(parsed.condition, given["correlation"], kind)
    terms = _terms(parsed.condition, given["correlation"], kind, ids)
    own = given.get("thapcanh")
    across = isinstance(own, Mapping) and own.get("across") == "agencies"
    fields = _fields(parsed.aliases, (*group_by, *counted), ids)
    children = {name: inner[name] for name in names if name in inner}
    if not across and any(child.across for child in children.values()):
        raise UsageError(
            "it counts a correlation across agencies, and is none itself",
            remedy="thapcanh: {across: agencies}",
        )
    return Correlation(
        id=rule.id,
        kind=kind,
        rules=rules,
        span=span,
        group_by=group_by,
        fields=fields,
        counted=counted,
        condition=condition,
        terms=terms,
        generate=bool(parsed.generate),
        across=across,
        quiet=rule.quiet * 1_000_000,
        children=tuple(
            _asking(child, fields[child.id].values())
            for child in {child.id: child for child in children.values()}.values()
        ),
    )


def _document(rule: Rule) -> Mapping[str, Any]:
    from pipeline.detect.rulebook.yaml_strict import read_yaml

    (document,) = read_yaml(rule.text, rule.path)
    return document.value  # type: ignore[no-any-return]


def _parsed(given: Mapping[str, Any]) -> Any:
    from sigma.correlations import SigmaCorrelationRule
    from sigma.exceptions import SigmaError

    try:
        return SigmaCorrelationRule.from_dict(sigma_shape(given))
    except SigmaError as error:
        raise UsageError(str(error)) from None


def _references(parsed: Any) -> tuple[str, ...]:
    if parsed.rules is not None:
        return tuple(dict.fromkeys(each.reference for each in parsed.rules))
    return tuple(parsed.condition.get_referenced_rules())


def _condition(
    parsed: Any, given: Mapping[str, Any], kind: str
) -> tuple[tuple[str, ...], Condition]:
    """The counted fields, and what is asked of their number, sum or average."""
    if not hasattr(parsed, "op"):
        return (), Condition()
    fields = parsed.fieldref
    counted = (fields,) if isinstance(fields, str) else tuple(str(f) for f in fields or ())
    if (kind in MEASURES and len(counted) != 1) or (kind == "event_count" and counted):
        raise UsageError(f"{kind} counts {'one field' if kind in MEASURES else 'no field'}")
    if kind.startswith("temporal") and counted:
        raise UsageError(f"{kind} counts no field")
    if kind == "value_percentile" and not 0 <= (parsed.percentile or -1) <= 100:
        raise UsageError("value_percentile has no percentile", expected="percentile: 1 to 100")
    op = parsed.op.name.lower()
    than: int | Fraction | None = int(parsed.count)
    raw = given.get("condition")
    if isinstance(raw, Mapping) and op in raw:  # pySigma cuts off what follows the point
        than = number_of(str(raw[op]))
    if than is None:
        raise UsageError("the condition compares with no number", got=str(raw))
    return counted, Condition(op, than, parsed.percentile or 50)


def _fields(
    aliases: Any, names: Sequence[str], ids: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Per rule id: name in the correlation → the rule's own field."""
    table = {rule: {name: name for name in names} for rule in ids.values()}
    for alias in aliases or ():
        for reference, field in alias.mapping.items():
            rule = ids.get(reference.reference)
            if rule is not None and alias.alias in names:
                table[rule][alias.alias] = field
    return table


def _asking(child: Correlation, names: Iterable[str]) -> Correlation:
    """The inner correlation, carrying what the outer one asks of its matches: a name that it does not
    have itself is taken for a field of its rules."""
    fields = {rule: {name: name for name in names} | own for rule, own in child.fields.items()}
    children = tuple(_asking(each, fields[each.id].values()) for each in child.children)
    return msgspec.structs.replace(child, fields=fields, children=children)


def _terms(
    parsed: Any, given: Mapping[str, Any], kind: str, ids: Mapping[str, str]
) -> tuple[Term, ...]:
    """The ways in which a temporal correlation holds; none where the condition counts rules."""
    if not kind.startswith("temporal"):
        return ()
    if len(set(ids.values())) < 2:
        raise UsageError("a temporal correlation needs two rules or more")
    if not hasattr(parsed, "op"):
        terms = [t for t in _ways(parsed.parsed, ids, wanted=True) if not t.without & {*t.needs}]
        if not terms:
            raise UsageError("the condition can never hold", got=parsed.expression)
        if not all(term.needs for term in terms):
            raise UsageError(
                "the condition holds without any match", got=parsed.expression,
                remedy="name a rule that must match",
            )  # fmt: skip
        return tuple(dict.fromkeys(terms))
    whole = Term(tuple(dict.fromkeys(ids.values())))
    if given.get("condition") is None or (parsed.op.name, parsed.count) == (
        "GTE",
        len(whole.needs),
    ):
        return (whole,)
    if kind == "temporal_ordered":
        raise UsageError(
            "an ordered correlation counts all of its rules", got=str(given["condition"])
        )
    return ()


def _ways(node: Any, ids: Mapping[str, str], *, wanted: bool) -> list[Term]:
    """The expression as alternatives, each a conjunction in the order of the text."""
    kind = type(node).__name__.removeprefix("CorrelationCondition")
    if kind == "SigmaRuleReference":
        rule = ids[node.reference]
        return [Term((rule,)) if wanted else Term((), frozenset({rule}))]
    if kind == "NOT":
        return _ways(node.args[0], ids, wanted=not wanted)
    parts = [_ways(each, ids, wanted=wanted) for each in node.args]
    if (kind == "OR") == wanted:
        return [term for part in parts for term in part]
    found = [Term(())]
    for part in parts:
        if len(found) * len(part) > MAX_TERMS:
            raise UsageError(
                "the condition has too many alternatives", expected=f"at most {MAX_TERMS}"
            )
        found = [
            Term(tuple(dict.fromkeys((*a.needs, *b.needs))), a.without | b.without)
            for a in found
            for b in part
        ]
    return found
