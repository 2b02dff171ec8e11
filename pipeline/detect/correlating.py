"""The step of a run that evaluates correlations, within its transaction.

In: the hits of the run. Out: the hits of the correlations that they complete, and what they undo of
those reported before. Invariant: what was matched before and what is matched now give the same
correlations in any order and any cut into runs: all that a new match can decide is looked at whole.

A match decides nothing further away than the correlation's reach `R`; what lies there is decided by
matches up to `R` further on. So around each new match `[t - R, t + R]` is decided anew, over what is
kept of `[t - 2R, t + 2R]`. A window that is judged once it has passed is one more reason to look: its
matches are *due* at the first run after that moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.detect.correlation import Correlation, Group, Part, Stored, groups_of, taking_part
from pipeline.detect.findings import Hit, RuleFacts
from pipeline.detect.packing import retention, sorted_by_retention
from pipeline.detect.stored import LATENESS, Span, keep, load, merged
from pipeline.model.clock import from_micros, to_micros
from pipeline.model.detections import Match
from pipeline.model.events import AGENCY
from pipeline.state.tables.detection import (
    CorrelationClock,
    FindingEvent,
    FindingRow,
    MatchBlob,
)

MAX_FIELD: Final = 64
_CHUNK: Final = 400  # bound parameters of one statement
Columns = Mapping[str, Mapping[str, str]]  # rule → its field → column


class Undone(msgspec.Struct, frozen=True):
    """An event that takes part in a correlation no more."""

    rule: str
    event: str
    entity: str
    finding: str


class Correlated(msgspec.Struct, frozen=True):
    """What became of the correlations in one transaction."""

    hits: tuple[Hit, ...] = ()
    undone: tuple[Undone, ...] = ()


def correlate(
    session: Session,
    correlations: Sequence[Correlation],
    hits: Sequence[Hit],
    facts: Mapping[str, RuleFacts],
    *,
    run: str,
    now: datetime,
    gone: Sequence[Stored] = (),
    columns: Columns = MappingProxyType({}),
) -> Correlated:
    """Keep the hits that correlations read, and bring the correlations up to date with them. `gone` are
    matches that are kept no more: what they had helped to decide is decided anew. `columns` says under
    which column people find what a rule calls a field."""
    asked = {base for c in correlations for base in c.bases()}
    fresh = [_stored(hit) for hit in hits if hit.match.rule in asked and hit.values is not None]
    for part in sorted_by_retention(fresh, retention(correlations)):
        keep(session, part, run, now)
    found: list[Hit] = []
    undone: list[Undone] = []
    for correlation in correlations:
        bases = correlation.bases()
        new = [m for m in fresh if m.rule in bases] + _due(session, correlation, to_micros(now))
        lost = [m for m in gone if m.rule in bases]
        if new or lost:
            judged = _judge(
                session, correlation, new + lost, facts, columns, now,
                undo=correlation.undoable or bool(lost),
            )  # fmt: skip
            found += judged.hits
            undone += judged.undone
    return Correlated(tuple(found), tuple(undone))


def is_due(session: Session, correlations: Sequence[Correlation], now: datetime) -> bool:
    """Whether some window has passed since the last run that can be judged only now."""
    return any(
        session.scalar(
            sa.select(MatchBlob.id)
            .where(MatchBlob.last_time >= from_micros(a), MatchBlob.first_time <= from_micros(b))
            .limit(1)
        )
        is not None
        for correlation in correlations
        for a, b in _due_spans(session, correlation, to_micros(now))
    )


def _due_spans(session: Session, correlation: Correlation, now: int) -> list[Span]:
    """Where windows start that became due since the correlation was last judged."""
    if not correlation.delays:
        return []
    clock = session.get(CorrelationClock, correlation.id)
    if clock is None or to_micros(clock.judged) >= now:
        return []
    judged = to_micros(clock.judged)
    return merged((judged - age + 1, now - age) for age in correlation.delays)


def _due(session: Session, correlation: Correlation, now: int) -> list[Stored]:
    if not correlation.delays:
        return []
    found = load(session, correlation.bases(), _due_spans(session, correlation, now))
    clock = session.get(CorrelationClock, correlation.id)
    if clock is None:  # from now on: what was kept before it ran is not its business
        session.add(CorrelationClock(correlation=correlation.id, judged=from_micros(now)))
    elif to_micros(clock.judged) < now:
        clock.judged = from_micros(now)
    return found


def _judge(
    session: Session,
    correlation: Correlation,
    new: Sequence[Stored],
    facts: Mapping[str, RuleFacts],
    columns: Columns,
    now: datetime,
    *,
    undo: bool,
) -> Correlated:
    """Decide anew what the new matches can decide; with `undo`, take back what does not hold any more."""
    routes, reach = correlation.routes(), correlation.reach
    groups: set[Group] | None = None
    chosen = None
    if routes is not None:
        groups = {group for m in new for group in groups_of(correlation, m)}
        if not groups:
            return Correlated()
        values = {
            tuple(m.values.get(field, "") for field in fields)
            for m in new
            for base, fields in routes
            if base == m.rule
        }
        chosen = (routes, values)
    near = merged((m.time - reach, m.time + reach) for m in new)
    around = merged((a - reach, b + reach) for a, b in near)
    rows = load(session, correlation.bases(), around, chosen)
    parts = [
        part
        for part in taking_part(correlation, rows, to_micros(now))
        if (groups is None or (part.agency, part.entity) in groups)
        and _within(near, part.match.time)
    ]
    undone: list[Undone] = []
    if undo:
        held = {(part.match.event, part.agency, part.entity) for part in parts}
        oldest = to_micros(now - LATENESS)  # beyond it, what decided may be forgotten already
        spans = [(max(a, oldest), b) for a, b in near if b >= oldest]
        undone = [
            Undone(correlation.id, event, entity, finding)
            for event, agency, entity, finding in _reported(
                session, facts[correlation.id], spans, groups
            )
            if (event, agency, entity) not in held
        ]
    return Correlated(tuple(_hits(correlation, parts, rows, facts, columns)), tuple(undone))


def _within(spans: Sequence[Span], time: int) -> bool:
    return any(first <= time <= last for first, last in spans)


def _reported(
    session: Session, facts: RuleFacts, spans: Sequence[Span], groups: set[Group] | None
) -> Iterator[tuple[str, str, str, str]]:
    """(event, agency, entity, finding) of what this revision's findings of the groups (None: all) hold
    within the spans."""
    if not spans:
        return
    first, last = from_micros(spans[0][0]), from_micros(spans[-1][1])
    query = (
        sa.select(
            FindingEvent.event,
            FindingRow.agency,
            FindingEvent.entity,
            FindingEvent.finding,
            FindingEvent.time,
        )
        .join(FindingRow, FindingRow.id == FindingEvent.finding)
        .where(
            FindingRow.rule == facts.id,
            FindingRow.last >= first,
            FindingRow.first <= last,
            FindingEvent.revision == facts.revision,
            FindingEvent.time.between(first, last),
        )
    )
    entities = None if groups is None else sorted({entity for _, entity in groups})
    for place in range(0, 1 if entities is None else len(entities), _CHUNK):
        some = query
        if entities is not None:
            some = query.where(FindingRow.entity.in_(entities[place : place + _CHUNK]))
        for event, agency, entity, finding, time in session.execute(some):
            if (groups is None or (agency, entity) in groups) and _within(spans, to_micros(time)):
                yield event.hex(), agency, entity, finding


def _hits(
    correlation: Correlation,
    parts: Sequence[Part],
    rows: Sequence[Stored],
    facts: Mapping[str, RuleFacts],
    columns: Columns,
) -> Iterator[Hit]:
    field = ", ".join(correlation.group_by)[:MAX_FIELD]
    below = {(m.event, m.rule): m for m in rows}
    bases = _bases(correlation)
    for part in parts:
        m = part.match
        # What an inner correlation contributes is told by the single-event rule beneath it.
        base = next((below[m.event, rule] for rule in bases[m.rule] if (m.event, rule) in below), m)
        match = Match(
            correlation.id,
            facts[correlation.id].revision,
            m.event,
            part.agency,
            part.entity,
            m.time,
            m.node,
            m.sequence,
        )
        names = columns.get(base.rule, {})
        shown = {names.get(name, name): value for name, value in base.values.items()}
        title = facts[base.rule].title if base.rule in facts else ""
        yield Hit(match, field, shown | {AGENCY: m.agency}, by=(base.rule, title))


def _bases(correlation: Correlation) -> dict[str, list[str]]:
    """Each rule that it names, with the single-event rules at its bottom."""
    inner = {child.id: list(child.bases()) for child in correlation.children}
    return {rule: inner.get(rule, [rule]) for rule in correlation.rules}


def _stored(hit: Hit) -> Stored:
    m = hit.match
    return Stored(m.rule, m.event, m.agency, m.time, m.node, m.sequence, hit.values or {})
