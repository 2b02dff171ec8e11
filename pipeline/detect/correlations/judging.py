"""What a correlation makes of new matches: read and judged before the transaction that reports it.

In: the new matches of a piece of a run, and what is kept of those before. Out: `Foreseen`, the pieces
that the transaction will keep, encoded, and of each correlation the matches that take part (`Judged`)
with all that this rests on. Within the transaction `stands` asks, by numbers of blobs alone, whether
nothing of that has changed meanwhile; only then is anything read and judged again.

A match decides nothing further away than the correlation's reach `R`; what lies there is decided by
matches up to `R` further on. So around each new match `[t - R, t + R]` is decided anew, over what is
kept of `[t - 2R, t + 2R]`. A window that is judged once it has passed is one more reason to look: its
matches are *due* at the first run after that moment.

Memory: the rows of one correlation at a time; what outlives it are the hits, which the transaction
needs anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

import msgspec
from sqlalchemy.orm import Session

from pipeline.detect.correlations.correlation import (
    Correlation,
    Group,
    Part,
    Stored,
    groups_of,
    taking_part,
)
from pipeline.detect.correlations.packing import retention, sorted_by_retention
from pipeline.detect.correlations.stored import (
    Blob,
    Piece,
    Span,
    any_within,
    encoded,
    listed,
    load,
    merged,
    within,
)
from pipeline.detect.running.findings import Hit, RuleFacts
from pipeline.model.clock import from_micros, to_micros
from pipeline.model.detections import Match
from pipeline.model.events import AGENCY
from pipeline.state.tables.detection import CorrelationClock

MAX_FIELD: Final = 64
Columns = Mapping[str, Mapping[str, str]]  # rule → its field → column
NO_COLUMNS: Final[Columns] = MappingProxyType({})


class Judged(msgspec.Struct, frozen=True):
    """Of one correlation: the windows that were due, the spans and blobs that were read, the spans and
    groups (None: all) that are decided anew, and what takes part there."""

    due: tuple[Span, ...] = ()
    spans: tuple[Span, ...] = ()
    read: tuple[Blob, ...] = ()
    near: tuple[Span, ...] = ()
    groups: frozenset[Group] | None = None
    hits: tuple[Hit, ...] = ()


class Foreseen(msgspec.Struct, frozen=True):
    """What a transaction will keep (`bodies`: matches with their encoded form), and each correlation's
    judgement by id."""

    fresh: tuple[Stored, ...]
    bodies: tuple[Piece, ...]
    judged: dict[str, Judged]


def foresee(
    session: Session,
    correlations: Sequence[Correlation],
    hits: Sequence[Hit],
    facts: Mapping[str, RuleFacts],
    *,
    now: datetime,
    columns: Columns = NO_COLUMNS,
) -> Foreseen:
    """Judge every correlation as things stand. Call with a session that reads one state."""
    asked = {base for c in correlations for base in c.bases()}
    fresh = [_stored(hit) for hit in hits if hit.match.rule in asked and hit.values is not None]
    parts = sorted_by_retention(fresh, retention(correlations))
    bodies = tuple(piece for part in parts for piece in encoded(part))
    judged = {c.id: judge(session, c, fresh, (), facts, columns, now) for c in correlations}
    return Foreseen(tuple(fresh), bodies, judged)


def stands(session: Session, correlation: Correlation, judged: Judged, now: datetime) -> bool:
    """Whether what was judged rests on what is so now. Reads no match."""
    return (
        judged.due == tuple(due_spans(session, correlation, to_micros(now)))
        and tuple(listed(session, correlation.bases(), judged.spans)) == judged.read
    )


def judge(
    session: Session,
    correlation: Correlation,
    fresh: Sequence[Stored],
    lost: Sequence[Stored],
    facts: Mapping[str, RuleFacts],
    columns: Columns,
    now: datetime,
) -> Judged:
    """Decide anew what the fresh matches, those that are kept no more and those that are due can decide."""
    bases, reach = correlation.bases(), correlation.reach
    due = tuple(due_spans(session, correlation, to_micros(now)))
    new = [m for m in (*fresh, *lost) if m.rule in bases] + load(session, bases, due)
    routes = correlation.routes()
    groups: frozenset[Group] | None = None
    chosen = None
    if routes is not None:
        groups = frozenset(group for m in new for group in groups_of(correlation, m))
        values = {
            tuple(m.values.get(field, "") for field in fields)
            for m in new
            for base, fields in routes
            if base == m.rule
        }
        chosen = (routes, values)
    if not new or (groups is not None and not groups):
        return Judged(due, due, tuple(listed(session, bases, due)), (), groups)
    near = merged((m.time - reach, m.time + reach) for m in new)
    around = merged((a - reach, b + reach) for a, b in near)
    spans = tuple(merged([*due, *around]))
    read = tuple(listed(session, bases, spans))
    rows = load(session, bases, around, chosen)
    rows += [m for m in fresh if m.rule in bases and within(around, m.time)]
    parts = [
        part
        for part in taking_part(correlation, rows, to_micros(now))
        if (groups is None or (part.agency, part.entity) in groups)
        and within(near, part.match.time)
    ]
    hits = tuple(_hits(correlation, parts, rows, facts, columns))
    return Judged(due, spans, read, tuple(near), groups, hits)


def due_spans(session: Session, correlation: Correlation, now: int) -> list[Span]:
    """Where windows start that became due since the correlation was last judged."""
    if not correlation.delays:
        return []
    clock = session.get(CorrelationClock, correlation.id)
    if clock is None or to_micros(clock.judged) >= now:
        return []
    judged = to_micros(clock.judged)
    return merged((judged - age + 1, now - age) for age in correlation.delays)


def is_due(session: Session, correlations: Iterable[Correlation], now: datetime) -> bool:
    """Whether some window has passed since the last run that can be judged only now."""
    return any(any_within(session, due_spans(session, c, to_micros(now))) for c in correlations)


def tick(session: Session, correlation: Correlation, now: datetime) -> None:
    """The correlation's waiting windows are judged up to this moment."""
    if not correlation.delays:
        return
    clock = session.get(CorrelationClock, correlation.id)
    if clock is None:  # from now on: what was kept before it ran is not its business
        session.add(CorrelationClock(correlation=correlation.id, judged=now))
    elif clock.judged < now:
        clock.judged = from_micros(to_micros(now))


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
