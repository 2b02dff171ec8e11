"""Replayed records: what the event that they replace had made is taken back, in the run that sees the new one.

In: a run's window. Out: the superseded events that still stand in findings, hidden matches or what
correlations read (`Gone`), and, within the run's transaction, all of these without them. Only nodes of
replays hold successors, so that a window without any costs nothing.

    finding {A, x}      A ─ replaced by ─▶ B      the run over B: B's own matches first, then A goes;
                                                  the finding is {B, x}, or {x}, or left with none

Invariant: each schedule sees the successor after its own last look at the old event (the store shows no
superseded one), so that whatever any of them made of it goes, however often that is done. A backfill may
have looked before the replay and commit after the run that saw the successor: while one is at work that run
leaves `TakenBack` rows, which the backfill heeds (`without_taken_back`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.detect.correlations.correlating import Undone
from pipeline.detect.correlations.correlation import Correlation, Stored
from pipeline.detect.correlations.stored import drop, holds
from pipeline.detect.running.findings import Hit, RuleFacts
from pipeline.detect.running.withdraw import withdraw
from pipeline.model import events
from pipeline.model.clock import to_micros
from pipeline.model.detections import Window
from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingEvent, HiddenMatch, Run, TakenBack
from pipeline.state.tables.intake import Node
from pipeline.store.base import Store

REPLAY: Final = "replay"
_CHUNK: Final = 400  # bound parameters of one statement
_LONGEST: Final = timedelta(days=1)
"""No run takes so long (it is bounded in sequences): one that began earlier died."""


class Gone(msgspec.Struct, frozen=True, gc=False):
    """A superseded event (hex id; time in microseconds), and where its successor stands."""

    event: str
    time: int
    node: str
    sequence: int


def superseded(
    state: State,
    store: Store,
    window: Window,
    correlations: Iterable[Correlation],
    *,
    now: datetime,
) -> list[Gone]:
    """Of the events that the window's replace, however far back, those that something was made of, or may be by a
    backfill that is at work."""
    with state.read() as session:
        replays = set(session.scalars(sa.select(Node.id).where(Node.kind == REPLAY)))
    spans = {node: span for node, span in window.spans.items() if node in replays}
    if not spans:
        return []
    places: dict[str, tuple[str, int]] = {}
    for _, table in store.scan(Window(spans), scope=Scope.everything()):
        places |= _replaced(table)
    found: list[Gone] = []
    fresh = sorted(places)
    while fresh:  # a successor may be superseded itself before any run has seen it
        further: dict[str, tuple[str, int]] = {}
        for start in range(0, len(fresh), _CHUNK):
            for document in store.get(fresh[start : start + _CHUNK], scope=Scope.everything()):
                event = document["event"]["id"]
                time = to_micros(datetime.fromisoformat(document[events.TIME]))
                found.append(Gone(event, time, *places[event]))
                before = document.get("thapcanh", {}).get("replaces")
                if before and before not in places:
                    further[before] = places[event]
        places |= further
        fresh = sorted(further)
    with state.read() as session:
        if _backfilling(session, now):
            return found
    return _used(state, found, {rule for c in correlations for rule in c.bases()})


def take_back(
    session: Session,
    gone: Sequence[Gone],
    facts: Mapping[str, RuleFacts],
    *,
    now: datetime,
) -> int:
    """Out of their findings and of what exceptions hid; how many went. Call under `lock_findings`, after the
    matches of their successors came in, so that a finding that holds both goes on."""
    undone: list[Undone] = []
    for chunk in _chunks(gone):
        rows = session.scalars(sa.select(FindingEvent).where(FindingEvent.event.in_(chunk)))
        undone += [Undone(r.rule, r.event.hex(), r.entity_key, r.finding) for r in rows]
        session.execute(sa.delete(HiddenMatch).where(HiddenMatch.event.in_(chunk)))
    if _backfilling(session, now):
        session.execute(sa.delete(TakenBack).where(TakenBack.at < now - _LONGEST))
        for event in {one.event for one in gone}:
            session.merge(TakenBack(event=bytes.fromhex(event), at=now))
    return withdraw(session, undone, facts, now=now)


def without_taken_back(session: Session, hits: Sequence[Hit]) -> Sequence[Hit]:
    """A backfill's hits without those by events that were replaced while it was at work."""
    ids = sorted({bytes.fromhex(hit.match.event) for hit in hits})
    gone: set[str] = set()
    for start in range(0, len(ids), _CHUNK):
        query = sa.select(TakenBack.event).where(TakenBack.event.in_(ids[start : start + _CHUNK]))
        gone.update(event.hex() for event in session.scalars(query))
    return [hit for hit in hits if hit.match.event not in gone] if gone else hits


def _backfilling(session: Session, now: datetime) -> bool:
    running = sa.select(Run.id).where(
        Run.kind == "backfill", Run.status == "running", Run.started > now - _LONGEST
    )
    return session.scalar(running.limit(1)) is not None


def forget(
    session: Session, gone: Sequence[Gone], correlations: Iterable[Correlation]
) -> list[Stored]:
    """Out of the matches that these correlations read; those that went, for them to be judged anew."""
    rules = {rule for c in correlations for rule in c.bases()}
    if not gone or not rules:
        return []
    return drop(session, {one.event: one.time for one in gone}, rules)


def _replaced(table: Any) -> dict[str, tuple[str, int]]:
    """Old event → node and sequence of the row that replaces it."""
    if events.REPLACES not in table.column_names:
        return {}
    olds = table.column(events.REPLACES)
    if olds.null_count == len(olds):
        return {}
    places = table.select([events.NODE, events.SEQUENCE]).to_pylist()
    return {
        old: (place[events.NODE], place[events.SEQUENCE])
        for old, place in zip(olds.to_pylist(), places, strict=True)
        if old
    }


def _used(state: State, gone: Sequence[Gone], rules: set[str]) -> list[Gone]:
    """Those that something was made of: the others, nearly all, cost the transaction nothing."""
    found: set[str] = set()
    with state.read() as session:
        for chunk in _chunks(gone):
            for column in (FindingEvent.event, HiddenMatch.event):
                found.update(
                    e.hex() for e in session.scalars(sa.select(column).where(column.in_(chunk)))
                )
        found |= holds(session, {one.event: one.time for one in gone}, rules)
    return [one for one in gone if one.event in found]


def _chunks(gone: Sequence[Gone]) -> Iterable[list[bytes]]:
    ids = [bytes.fromhex(one.event) for one in gone]
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))
