"""Takes the stage away: the drill's events, findings, tickets, sources, agencies and files.

Only what belongs to agencies flagged *drill* goes, and what the centre's correlations across agencies found
among them alone; settlements, runs and coverage stay, for they speak of sequences, and so does the access log, which
forgets nothing. Removing twice does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.rehearsal.setup import CENTRE, KEYS, META
from pipeline.state.state import State
from pipeline.state.tables.access import PersonAgency
from pipeline.state.tables.desk import Attachment, Notice
from pipeline.state.tables.detection import FindingEvent, FindingRow, HiddenMatch
from pipeline.state.tables.intake import DeadLetterRow, FileRange
from pipeline.state.tables.lake import Hold
from pipeline.state.tables.operation import Meta
from pipeline.state.tables.register import (
    Agency,
    Asset,
    Outage,
    Source,
    SourceAddress,
    SourceCertificate,
    SourceDraft,
    SourceHour,
    SourceKey,
    SourceSeen,
    SourceWatch,
)
from pipeline.state.tables.tickets import (
    MirrorLink,
    Outbox,
    RulePrecision,
    Ticket,
    TicketClock,
    TicketFinding,
    TicketHistory,
    TicketTag,
)
from pipeline.store.base import SearchableStore as Store
from pipeline.tickets.entities import is_drill

POSITION = "position.json"
_CHUNK = 300


@dataclass(frozen=True, slots=True)
class Cleaned:
    """How many of each went."""

    agencies: int = 0
    sources: int = 0
    events: int = 0
    findings: int = 0
    tickets: int = 0


def clean(state: State, store: Store | None, folder: Path, *, now: datetime) -> Cleaned:
    """Removes the drill. Without a store (its lake is gone, say) the events are left to it."""
    with state.read() as session:
        agencies = list(session.scalars(sa.select(Agency.id).where(Agency.drill.is_(True))))
        sources = list(session.scalars(sa.select(Source.id).where(Source.agency.in_(agencies))))
        findings = [
            *session.scalars(sa.select(FindingRow.id).where(FindingRow.agency.in_(agencies))),
            *_of_the_centre(session),
        ]
        tickets = list(session.scalars(sa.select(Ticket.id).where(Ticket.drill.is_(True))))
    later = now + timedelta(days=1)  # receipts of this very moment too
    events = 0
    if store is not None:
        events = sum(store.delete_before(agency, later, now=now) for agency in agencies)
    for chunk in _chunks(tickets):
        with state.begin() as session:
            _remove_tickets(session, chunk)
    for chunk in _chunks(findings):
        with state.begin() as session:
            session.execute(sa.delete(FindingEvent).where(FindingEvent.finding.in_(chunk)))
            session.execute(sa.delete(FindingRow).where(FindingRow.id.in_(chunk)))
    with state.begin() as session:
        _remove_register(session, agencies, sources)
        session.execute(sa.delete(Meta).where(Meta.name == META))
    for name in (KEYS, POSITION):
        (folder / name).unlink(missing_ok=True)
    return Cleaned(len(agencies), len(sources), events, len(findings), len(tickets))


def _of_the_centre(session: Session) -> list[str]:
    """Findings of correlations across agencies that speak of drill agencies alone."""
    rows = session.scalars(sa.select(FindingRow).where(FindingRow.agency == CENTRE))
    return [row.id for row in rows if is_drill(session, row)]


def _remove_tickets(session: Session, tickets: list[str]) -> None:
    tables = (
        Attachment,
        MirrorLink,
        Notice,
        Outbox,
        TicketClock,
        TicketFinding,
        TicketHistory,
        TicketTag,
    )
    for table in tables:
        session.execute(sa.delete(table).where(table.ticket.in_(tickets)))
    session.flush()
    session.execute(sa.delete(Ticket).where(Ticket.id.in_(tickets)))


def _remove_register(session: Session, agencies: list[str], sources: list[str]) -> None:
    for table in (
        SourceAddress,
        SourceCertificate,
        SourceKey,
        SourceSeen,
        SourceHour,
        SourceWatch,
        Outage,
        FileRange,
    ):
        session.execute(sa.delete(table).where(table.source.in_(sources)))
    for table_of in (
        DeadLetterRow,
        Hold,
        PersonAgency,
        Asset,
        SourceDraft,
        HiddenMatch,
        RulePrecision,
    ):
        session.execute(sa.delete(table_of).where(table_of.agency.in_(agencies)))
    session.execute(sa.delete(Source).where(Source.id.in_(sources)))
    session.execute(sa.delete(Agency).where(Agency.id.in_(agencies)))


def _chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
