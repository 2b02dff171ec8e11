"""Sigma correlations over stored matches, exact on sliding windows of event time. Pure.

In: a correlation and the stored matches of its rules. Out: the matches that take part: those that lie
in some window `[t, t + timespan]` of one group in which the condition holds. They become matches of
the correlation itself, with the group as entity, so that its findings are episodes like any other and
a function of the set of matches: a late event can only add.

    correlation:                        time ──────────────▶
        type: event_count               ● ●   ●  ●●      ●      gte 3 within the span:
        rules: [vpn_login_failed]               └─────┘         the last four of the five before
        group-by: [source.ip]                 └─────┘           the pause take part
        timespan: 5m
        condition: {gte: 3}

Invariant, held by a brute-force oracle: the outcome is the union over all windows, whatever the order,
ties and repeats of the input. Only conditions that more events cannot undo (gt, gte) run; what else
Sigma has is *cannot fire here* with its reason.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from pipeline.detect.rules import Rule
from pipeline.model.errors import UsageError

TYPES: Final = ("event_count", "value_count", "temporal", "temporal_ordered")
CENTRE: Final = "soc"
"""The agency that findings across agencies belong to: the centre itself."""
_GROUP_MARK: Final = " · "


class Correlation(msgspec.Struct, frozen=True, kw_only=True):
    """A correlation that can run. `rules` are ids; `span` in microseconds; `fields` maps each rule's id
    to (name in the correlation → Sigma field of that rule)."""

    id: str
    kind: str
    rules: tuple[str, ...]
    span: int
    group_by: tuple[str, ...]
    fields: dict[str, dict[str, str]]
    field: str = ""
    at_least: int = 1
    generate: bool = False
    across: bool = False


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A match as correlations read it: `values` maps Sigma fields of its rule to folded texts."""

    rule: str
    event: str
    agency: str
    time: int
    node: str
    sequence: int
    values: dict[str, str]


class Part(msgspec.Struct, frozen=True):
    """A stored match that takes part, with the agency and the entity of the correlation's match."""

    match: Stored
    agency: str
    entity: str


def read_correlation(rule: Rule, known: Mapping[str, Rule]) -> Correlation:
    """The correlation of a rule; `known` maps ids and names to the rules that run. UsageError says why it
    cannot fire here."""
    from sigma.correlations import SigmaCorrelationRule
    from sigma.exceptions import SigmaError

    from pipeline.detect.yaml_strict import read_yaml

    (given,) = (document.value for document in read_yaml(rule.text, rule.path))
    try:
        parsed: Any = SigmaCorrelationRule.from_dict(given)
    except SigmaError as error:
        raise UsageError(str(error)) from None
    kind = parsed.type.name.lower()
    if kind not in TYPES:
        raise UsageError(f"correlations of type {kind} are not evaluated by this version")
    names = [reference.reference for reference in parsed.rules]
    missing = [name for name in names if name not in known]
    if missing:
        raise UsageError(f"a rule that does not run here: {', '.join(missing)}")
    ids = tuple(dict.fromkeys(known[name].id for name in names))
    if kind.startswith("temporal") and len(ids) < 2:
        raise UsageError("a temporal correlation needs two rules or more")
    field, at_least = _condition(parsed.condition, kind)
    group_by = tuple(parsed.group_by or ())
    own = given.get("thapcanh")
    return Correlation(
        id=rule.id,
        kind=kind,
        rules=ids,
        span=parsed.timespan.seconds * 1_000_000,
        group_by=group_by,
        fields=_fields(parsed.aliases, [*group_by, *([field] if field else [])], known, ids),
        field=field,
        at_least=at_least,
        generate=bool(parsed.generate),
        across=isinstance(own, Mapping) and own.get("across") == "agencies",
    )


def _condition(condition: Any, kind: str) -> tuple[str, int]:
    """The counted field and the least count."""
    if kind.startswith("temporal"):
        return "", 1
    operator = getattr(getattr(condition, "op", None), "name", "")
    if operator not in ("GT", "GTE"):
        raise UsageError(
            "only gt and gte are evaluated: other conditions are undone by more events"
        )
    fields = condition.fieldref
    fields = [fields] if isinstance(fields, str) else list(fields or ())
    if (kind == "value_count") != (len(fields) == 1):
        raise UsageError("value_count counts one field, event_count none")
    return (fields[0] if fields else ""), int(condition.count) + (operator == "GT")


def _fields(
    aliases: Any, names: Sequence[str], known: Mapping[str, Rule], ids: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Per rule id: name in the correlation → the rule's own field."""
    table = {rule: {name: name for name in names} for rule in ids}
    for alias in aliases or ():
        for reference, field in alias.mapping.items():
            rule = known.get(reference.reference)
            if rule is not None and rule.id in table and alias.alias in names:
                table[rule.id][alias.alias] = field
    return table


def taking_part(correlation: Correlation, matches: Iterable[Stored]) -> list[Part]:
    """The matches that lie in some window in which the condition holds, by group, in order of time."""
    groups: dict[tuple[str, str], dict[tuple[str, str], Stored]] = defaultdict(dict)
    for match in matches:
        key = group_of(correlation, match)
        if key is not None:
            groups[key][match.event, match.rule] = match
    parts: list[Part] = []
    for (agency, entity), found in sorted(groups.items()):
        rows = sorted(found.values(), key=lambda m: (m.time, m.event, m.rule))
        parts += [
            Part(rows[n], agency, entity) for n in _KINDS[correlation.kind](correlation, rows)
        ]
    return parts


def group_of(correlation: Correlation, match: Stored) -> tuple[str, str] | None:
    """(agency, entity) of a match; None for another rule's, or one that lacks a grouping value."""
    fields = correlation.fields.get(match.rule)
    if fields is None:
        return None
    values = [match.values.get(fields[name], "") for name in correlation.group_by]
    if not all(values):
        return None
    return (CENTRE if correlation.across else match.agency), _GROUP_MARK.join(values)


def _windows(rows: Sequence[Stored], span: int, holds: Callable[[int, int], bool]) -> list[int]:
    """The places of rows in windows that start at a row and hold. `holds(start, stop)` is asked with
    both ends only ever growing."""
    chosen: list[int] = []
    stop = covered = 0
    for start, row in enumerate(rows):
        while stop < len(rows) and rows[stop].time - row.time <= span:
            stop += 1
        if holds(start, stop):
            chosen += range(max(start, covered), stop)
            covered = stop
    return chosen


class _Distinct:
    """How many distinct keys lie in a window whose ends only grow."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys, self._start, self._stop = keys, 0, 0
        self._counts: Counter[str] = Counter()

    def __call__(self, start: int, stop: int) -> int:
        while self._stop < stop:
            self._counts[self._keys[self._stop]] += 1
            self._stop += 1
        while self._start < start:
            key = self._keys[self._start]
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]
            self._start += 1
        return len(self._counts)


def _event_count(c: Correlation, rows: Sequence[Stored]) -> list[int]:
    distinct = _Distinct([row.event for row in rows])  # an event that two of the rules match is one
    return _windows(rows, c.span, lambda start, stop: distinct(start, stop) >= c.at_least)


def _value_count(c: Correlation, rows: Sequence[Stored]) -> list[int]:
    values = [row.values.get(c.fields[row.rule][c.field], "") for row in rows]
    places = [n for n, value in enumerate(values) if value]
    having = [rows[n] for n in places]
    distinct = _Distinct([values[n] for n in places])
    chosen = _windows(having, c.span, lambda start, stop: distinct(start, stop) >= c.at_least)
    return [places[n] for n in chosen]


def _temporal(c: Correlation, rows: Sequence[Stored]) -> list[int]:
    distinct = _Distinct([row.rule for row in rows])
    return _windows(rows, c.span, lambda start, stop: distinct(start, stop) >= len(c.rules))


def _temporal_ordered(c: Correlation, rows: Sequence[Stored]) -> list[int]:
    """Rows of some chain r1 ≤ r2 ≤ … ≤ rn in time, no longer than the span."""
    order = {rule: place for place, rule in enumerate(c.rules)}
    chosen: set[int] = set()
    stop = 0
    for start, row in enumerate(rows):
        while stop < len(rows) and rows[stop].time - row.time <= c.span:
            stop += 1
        if order[row.rule] == 0:
            chosen.update(_chained(rows, _first_of_its_time(rows, start), stop, order))
    return sorted(chosen)


def _first_of_its_time(rows: Sequence[Stored], place: int) -> int:
    while place and rows[place - 1].time == rows[place].time:
        place -= 1
    return place


def _chained(rows: Sequence[Stored], start: int, stop: int, order: Mapping[str, int]) -> list[int]:
    """The rows of a window that lie on some chain of all rules in their order; ties are in order."""
    last = len(order) - 1
    ready: list[int | None] = [None] * len(order)  # the earliest end of a chain of rules 0 … n
    for step in range(len(order)):
        for row in rows[start:stop]:
            before = ready[step - 1] if step else row.time
            if order[row.rule] == step and before is not None and row.time >= before:
                ready[step] = row.time
                break
    if ready[last] is None:
        return []
    due: list[int | None] = [None] * len(order)  # the latest start of a chain of rules n … last
    for step in range(last, -1, -1):
        for row in reversed(rows[start:stop]):
            after = due[step + 1] if step < last else row.time
            if order[row.rule] == step and after is not None and row.time <= after:
                due[step] = row.time
                break
    chosen = []
    for place in range(start, stop):
        step, time = order[rows[place].rule], rows[place].time
        before = ready[step - 1] if step else time
        after = due[step + 1] if step < last else time
        if before is not None and after is not None and before <= time <= after:
            chosen.append(place)
    return chosen


_KINDS: Final[Mapping[str, Callable[[Correlation, Sequence[Stored]], list[int]]]] = {
    "event_count": _event_count,
    "value_count": _value_count,
    "temporal": _temporal,
    "temporal_ordered": _temporal_ordered,
}
