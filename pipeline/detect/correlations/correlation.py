"""Sigma correlations over stored matches, exact on sliding windows of event time. Pure.

In: a correlation and the stored matches of its rules. Out: the matches that take part: those that lie
in some window `[t, t + timespan]` of one group in which the condition holds. They become matches of
the correlation itself, with the group as entity, so that its findings are episodes like any other and
a function of the set of matches, late events included.

    correlation:                        time ──────────────▶
        type: event_count               ● ●   ●  ●●      ●      gte 3 within the span:
        rules: [vpn_login_failed]               └─────┘         the last four of the five before
        group-by: [source.ip]                 └─────┘           the pause take part
        timespan: 5m
        condition: {gte: 3}

What is fixed here, where Sigma leaves it open:

- Values are compared without case, trimmed and canonically composed, as Sigma's own are and as findings tell
  entities apart: `an` and `AN` are one group, and one value of `value_count`. So what is stored of a match
  is folded, and a correlation's entity is in small letters; the events show how each wrote it.
- A window starts at a match of the group and holds both of its ends.
- A condition that further events can undo (`lt`, `eq`, `not`, averages …) is judged once its window has
  passed (`waits`), and what a late event undoes is taken back (`undoable`).
- In a chain, the matches of the inner correlation are its parts; `event_count` counts its episodes.
- `temporal_ordered` over an expression: in the order in which the expression names the rules; `not`
  holds where no such match lies in the window.

Invariant, held by a brute-force oracle: the outcome is the union over all windows, whatever the order,
ties and repeats of the input.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Final

import msgspec

CENTRE: Final = "soc"
"""The agency that findings across agencies belong to: the centre itself."""
NEW_VALUE: Final = "thapcanh_new_value"
"""Our own type: a value that the group has not had within the span, while it had others."""
MEASURES: Final = frozenset({"value_sum", "value_avg", "value_percentile", "value_median"})
_GROUP_MARK: Final = " · "
_RISING: Final = ("gt", "gte")


class Condition(msgspec.Struct, frozen=True):
    """`op` is Sigma's word; `percentile` is read by value_percentile alone."""

    op: str = "gte"
    than: Fraction | int = 1
    percentile: int = 50


class Term(msgspec.Struct, frozen=True):
    """One way in which a temporal correlation holds: all of `needs` (in this order where it is ordered)
    and none of `without`."""

    needs: tuple[str, ...]
    without: frozenset[str] = frozenset()


class Correlation(msgspec.Struct, frozen=True, kw_only=True):
    """A correlation that can run. `rules` are ids; `span` and `quiet` in microseconds; `fields` maps
    each rule's id to (name in the correlation → field of that rule, or name in that correlation).
    `children` are those of the rules that are correlations themselves."""

    id: str
    kind: str
    rules: tuple[str, ...]
    span: int
    group_by: tuple[str, ...]
    fields: dict[str, dict[str, str]]
    counted: tuple[str, ...] = ()
    condition: Condition = Condition()
    terms: tuple[Term, ...] = ()
    generate: bool = False
    across: bool = False
    quiet: int = 3_600_000_000
    children: tuple[Correlation, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether a window is judged only when it has passed."""
        if self.terms:
            return any(term.without for term in self.terms)
        if self.kind == NEW_VALUE:
            return False
        return self.condition.op not in _RISING or self.kind in MEASURES - {"value_sum"}

    @property
    def undoable(self) -> bool:
        """Whether further events can undo what took part."""
        return (
            self.waits
            or self.kind in (NEW_VALUE, "value_sum")
            or any(child.undoable or self.kind == "event_count" for child in self.children)
        )

    @property
    def settling(self) -> int:
        """How long after a window's start it can be judged, in microseconds."""
        inner = max((child.settling for child in self.children), default=0)
        return inner + (self.span if self.waits else 0)

    @property
    def delays(self) -> frozenset[int]:
        """Every age at which a match can newly count, of this correlation and those within it."""
        inner = frozenset[int]().union(*(child.delays for child in self.children))
        return inner | {self.settling} if self.waits else inner

    @property
    def reach(self) -> int:
        """How far from a match others can decide whether it takes part, in microseconds."""
        return self.span + max((child.reach for child in self.children), default=0)

    def bases(self) -> dict[str, set[str]]:
        """The single-event rules at the bottom, and what is asked of each one's events."""
        found: dict[str, set[str]] = defaultdict(set)
        inner = {child.id: child for child in self.children}
        for rule in self.rules:
            if rule in inner:
                for base, asked in inner[rule].bases().items():
                    found[base] |= asked
            else:
                found[rule].update(self.fields[rule].values())
        return dict(found)

    def routes(self) -> tuple[tuple[str, tuple[str, ...]], ...] | None:
        """Each single-event rule with the fields whose values are the group; None where an inner
        correlation's group does not decide the outer one's."""
        found: list[tuple[str, tuple[str, ...]]] = []
        inner = {child.id: child for child in self.children}
        for rule in self.rules:
            names = tuple(self.fields[rule][name] for name in self.group_by)
            if rule not in inner:
                found.append((rule, names))
                continue
            below = inner[rule].routes()
            if below is None or not set(names) <= set(inner[rule].group_by):
                return None
            for base, fields in below:
                own = dict(zip(inner[rule].group_by, fields, strict=True))
                found.append((base, tuple(own[name] for name in names)))
        return tuple(dict.fromkeys(found))


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A match as correlations read it: `values` maps Sigma fields of its rule to folded texts
    (`fold.entity`); `unit` is
    what `event_count` counts it as: its event, unless it is an inner correlation's."""

    rule: str
    event: str
    agency: str
    time: int
    node: str
    sequence: int
    values: dict[str, str]
    unit: str = ""


class Part(msgspec.Struct, frozen=True):
    """A stored match that takes part, with the agency and the entity of the correlation's match."""

    match: Stored
    agency: str
    entity: str


Group = tuple[str, str]  # agency, entity


def taking_part(
    correlation: Correlation, matches: Iterable[Stored], now: int | None = None
) -> list[Part]:
    """The matches that lie in some window in which the condition holds, by group, in order of time.

    `now` (microseconds) leaves out windows that cannot be judged yet; None judges all.
    """
    from pipeline.detect.correlations.kinds import places

    groups: dict[Group, dict[tuple[str, str], Stored]] = defaultdict(dict)
    matches = list(matches)
    for match in (*matches, *_inner(correlation, matches, now)):
        key = group_of(correlation, match)
        if key is not None:
            groups[key][match.event, match.rule] = match
    limit = None if now is None or not correlation.waits else now - correlation.settling
    parts: list[Part] = []
    for (agency, entity), found in sorted(groups.items()):
        rows = sorted(found.values(), key=lambda m: (m.time, m.event, m.rule))
        parts += [Part(rows[n], agency, entity) for n in places(correlation, rows, limit)]
    return parts


def group_of(correlation: Correlation, match: Stored) -> Group | None:
    """(agency, entity) of a match; None for another rule's, or one that lacks a grouping value."""
    fields = correlation.fields.get(match.rule)
    if fields is None:
        return None
    return _group(correlation, match, [fields[name] for name in correlation.group_by])


def groups_of(correlation: Correlation, match: Stored) -> set[Group]:
    """The groups that a match of a single-event rule can come into, through whatever chain."""
    routes = correlation.routes() or ()
    found = {_group(correlation, match, fields) for base, fields in routes if base == match.rule}
    return {group for group in found if group is not None}


def _group(correlation: Correlation, match: Stored, fields: Sequence[str]) -> Group | None:
    values = [match.values.get(field, "") for field in fields]
    if not all(values):
        return None
    return (CENTRE if correlation.across else match.agency), _GROUP_MARK.join(values)


def _inner(correlation: Correlation, matches: list[Stored], now: int | None) -> Iterator[Stored]:
    """The matches of the correlations within, under the names that they have there."""
    for child in correlation.children:
        group: Group | None = None
        episode = last = 0
        for part in taking_part(child, matches, now):
            m = part.match
            if (part.agency, part.entity) != group:
                group, episode = (part.agency, part.entity), 0
            elif m.time - last > child.quiet:
                episode += 1
            last = m.time
            named = child.fields[m.rule].items()
            values = {name: v for name, field in named if (v := m.values.get(field, ""))}
            unit = f"{child.id} {part.agency} {part.entity} {episode}"
            yield Stored(child.id, m.event, m.agency, m.time, m.node, m.sequence, values, unit)
