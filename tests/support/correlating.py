"""Correlations of small parts, and the oracle that tries every window of them one by one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from itertools import product
from typing import Any

from pipeline.detect.correlations.correlation import (
    CENTRE,
    MEASURES,
    NEW_VALUE,
    Condition,
    Correlation,
    Stored,
    Term,
)

SPAN = 10
Taken = set[tuple[str, str, str, str]]  # agency, entity, event, rule


def stored(
    time: int, rule: str = "a", *, ip: str = "1", user: str = "an", event: str = "", ward: str = "w"
) -> Stored:
    event = event or f"{rule}{time}{ip}{user}"
    return Stored(rule, event, ward, time, "n", time, {"ip": ip, "user": user})


def correlation(kind: str, *rules: str, id: str = "c", **more: Any) -> Correlation:  # noqa: A002
    """`terms` as texts: "a b !c" needs a and b, and no c."""
    rules = rules or ("a",)
    if "terms" in more:
        more["terms"] = tuple(_term(text) for text in more["terms"])
    elif kind.startswith("temporal") and "condition" not in more:
        more["terms"] = (Term(rules),)
    counts = kind in {NEW_VALUE, "value_count", *MEASURES}
    return Correlation(
        id=id,
        kind=kind,
        rules=rules,
        **{
            "span": SPAN,
            "group_by": ("ip",),
            "counted": ("user",) if counts else (),
            "fields": {rule: {"ip": "ip", "user": "user"} for rule in rules},
            **more,
        },
    )


def _term(text: str) -> Term:
    words = text.split()
    return Term(
        tuple(w for w in words if w[0] != "!"), frozenset(w[1:] for w in words if w[0] == "!")
    )


def oracle(c: Correlation, matches: Iterable[Stored], now: int | None = None) -> Taken:
    """Every window of the span that starts at some match, tried one by one."""
    matches = list(matches)
    found: Taken = set()
    rows = {
        (m.event, m.rule): m
        for m in [*matches, *(m for child in c.children for m in _inner(child, matches, now))]
        if m.rule in c.rules and all(_values(c, m, c.group_by))
    }.values()
    for key in {_key(c, m) for m in rows}:
        group = [m for m in rows if _key(c, m) == key]
        starts = {m.time for m in group if c.kind not in _COUNTING or _counted(c, m) is not None}
        for start in starts:
            if now is not None and c.waits and start + c.settling > now:
                continue
            inside = [m for m in group if start <= m.time <= start + c.span]
            taken = _new(c, start, group) if c.kind == NEW_VALUE else _takes_part(c, inside)
            found |= {(*key, m.event, m.rule) for m in taken}
    return found


_COUNTING = {NEW_VALUE, "value_count", *MEASURES}


def _values(c: Correlation, m: Stored, names: Iterable[str]) -> list[str]:
    return [m.values.get(c.fields[m.rule][name], "") for name in names]


def _key(c: Correlation, m: Stored) -> tuple[str, str]:
    return CENTRE if c.across else m.agency, " · ".join(_values(c, m, c.group_by))


def _inner(child: Correlation, matches: list[Stored], now: int | None) -> list[Stored]:
    """An inner correlation's matches; its unit is its episode: the time at which that begins."""
    rows = {(m.event, m.rule): m for m in matches}
    rows |= {(m.event, m.rule): m for c in child.children for m in _inner(c, matches, now)}
    found = []
    for agency, entity, event, rule in sorted(oracle(child, matches, now)):
        m = rows[event, rule]
        times = {
            rows[e, r].time
            for a, i, e, r in oracle(child, matches, now)
            if (a, i) == (agency, entity)
        }
        begin = m.time
        while earlier := [t for t in times if begin - child.quiet <= t < begin]:
            begin = min(earlier)
        values = {name: m.values.get(field, "") for name, field in child.fields[rule].items()}
        unit = f"{child.id}{agency}{entity}{begin}"
        found.append(Stored(child.id, event, m.agency, m.time, "n", m.sequence, values, unit))
    return found


def _counted(c: Correlation, m: Stored) -> Any:
    (text,) = _values(c, m, c.counted)
    if c.kind not in MEASURES:
        return text or None
    return Fraction(text) if text.replace(".", "", 1).lstrip("-").isdigit() else None


def _holds(condition: Condition, value: Any) -> bool:
    than = condition.than
    return {
        "gt": value > than, "gte": value >= than, "lt": value < than,
        "lte": value <= than, "eq": value == than, "neq": value != than,
    }[condition.op]  # fmt: skip


def _takes_part(c: Correlation, inside: list[Stored]) -> list[Stored]:
    if c.kind == "event_count":
        return inside if _holds(c.condition, len({m.unit or m.event for m in inside})) else []
    if c.kind == "value_count":
        having = [m for m in inside if _counted(c, m) is not None]
        return having if _holds(c.condition, len({_counted(c, m) for m in having})) else []
    if c.kind in MEASURES:
        return _measured(c, inside)
    if not c.terms:
        return inside if _holds(c.condition, len({m.rule for m in inside})) else []
    found: list[Stored] = []
    for term in c.terms:
        rules = {m.rule for m in inside}
        if rules & term.without or not rules >= set(term.needs):
            continue
        if c.kind == "temporal":
            found += [m for m in inside if m.rule in term.needs]
            continue
        chains = product(*([m for m in inside if m.rule == rule] for rule in term.needs))
        found += [
            m for chain in chains if [*chain] == sorted(chain, key=lambda m: m.time) for m in chain
        ]
    return found


def _measured(c: Correlation, inside: list[Stored]) -> list[Stored]:
    of_event: dict[str, Stored] = {}
    for m in sorted(inside, key=lambda m: -c.rules.index(m.rule)):
        if _counted(c, m) is not None:
            of_event[m.event] = m
    numbers = sorted(_counted(c, m) for m in of_event.values())
    half = len(numbers) // 2
    value = {
        "value_sum": sum(numbers),
        "value_avg": Fraction(sum(numbers)) / len(numbers),
        "value_median": numbers[half]
        if len(numbers) % 2
        else (numbers[half - 1] + numbers[half]) / 2,
        "value_percentile": numbers[
            max(1, math.ceil(Fraction(c.condition.percentile, 100) * len(numbers))) - 1
        ],
    }[c.kind]
    return [*of_event.values()] if _holds(c.condition, value) else []


def _new(c: Correlation, start: int, group: list[Stored]) -> list[Stored]:
    having = [m for m in group if _counted(c, m) is not None]
    before = {_counted(c, m) for m in having if start - c.span <= m.time < start}
    here = [m for m in having if m.time == start]
    return [m for m in here if before and _counted(c, m) not in before]
