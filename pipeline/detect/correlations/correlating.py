"""The step of a run that brings correlations up to date, within its transaction.

In: the hits of the run and what was foreseen of them (`judging.py`). Out: the hits of the correlations
that they complete, and what they undo of those reported before. Invariant: what was matched before and
what is matched now give the same correlations in any order and any cut into runs: all that a new match
can decide is looked at whole. The transaction decodes no stored match, unless another writer changed
those that were read, or a replay took some away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.detect.correlations.correlation import Correlation, Group, Stored
from pipeline.detect.correlations.judging import (
    NO_COLUMNS,
    Columns,
    Foreseen,
    foresee,
    judge,
    stands,
    tick,
)
from pipeline.detect.correlations.stored import LATENESS, Span, within, write
from pipeline.detect.running.findings import Hit, RuleFacts
from pipeline.model import fold
from pipeline.model.clock import from_micros, to_micros
from pipeline.state.tables.detection import FindingEvent, FindingRow

_CHUNK: Final = 400  # bound parameters of one statement


class Undone(msgspec.Struct, frozen=True):
    """An event that takes part in a correlation no more."""

    rule: str
    event: str
    entity_key: str
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
    columns: Columns = NO_COLUMNS,
    foreseen: Foreseen | None = None,
) -> Correlated:
    """Keep the hits that correlations read, and bring the correlations up to date with them. `gone` are
    matches that are kept no more: what they had helped to decide is decided anew. `columns` says under
    which column people find what a rule calls a field. `foreseen` is of the same hits and moment; without
    it all is read and judged here."""
    if foreseen is None:
        foreseen = foresee(session, correlations, hits, facts, now=now, columns=columns)
    found: list[Hit] = []
    undone: list[Undone] = []
    for correlation in correlations:
        bases = correlation.bases()
        lost = [m for m in gone if m.rule in bases]
        judged = foreseen.judged[correlation.id]
        if lost or not stands(session, correlation, judged, now):
            judged = judge(session, correlation, foreseen.fresh, lost, facts, columns, now)
        tick(session, correlation, now)
        found += judged.hits
        if correlation.undoable or lost:
            held = {
                (m.event, m.agency, fold.entity(m.entity))
                for m in (hit.match for hit in judged.hits)
            }
            oldest = to_micros(now - LATENESS)  # beyond it, what decided may be forgotten already
            spans = [(max(a, oldest), b) for a, b in judged.near if b >= oldest]
            undone += [
                Undone(correlation.id, event, entity, finding)
                for event, agency, entity, finding in _reported(
                    session, facts[correlation.id], spans, judged.groups
                )
                if (event, agency, entity) not in held
            ]
    write(session, foreseen.bodies, run, now)
    return Correlated(tuple(found), tuple(undone))


def _reported(
    session: Session, facts: RuleFacts, spans: Sequence[Span], groups: frozenset[Group] | None
) -> Iterator[tuple[str, str, str, str]]:
    """(event, agency, entity key, finding) of what this revision's findings of the groups (None: all) hold
    within the spans."""
    if not spans:
        return
    first, last = from_micros(spans[0][0]), from_micros(spans[-1][1])
    query = (
        sa.select(
            FindingEvent.event,
            FindingRow.agency,
            FindingEvent.entity_key,
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
    keys = None if groups is None else {(agency, fold.entity(entity)) for agency, entity in groups}
    entities = None if keys is None else sorted({entity for _, entity in keys})
    for place in range(0, 1 if entities is None else len(entities), _CHUNK):
        some = query
        if entities is not None:
            some = query.where(FindingRow.entity_key.in_(entities[place : place + _CHUNK]))
        for event, agency, entity, finding, time in session.execute(some):
            if (keys is None or (agency, entity) in keys) and within(spans, to_micros(time)):
                yield event.hex(), agency, entity, finding
