"""What a ticket says of its findings: a function of their set, worked out anew after each change of it.

In: a ticket whose findings have changed. Out: its first and last event, counts, severity, title, rule
and entity; a line of the history when that is news: worse, earlier, another rule, twice as much, or less.
Invariant: the order in which findings came leaves no trace. Its revision does not move: nobody's work
becomes stale by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.model.detections import Level
from pipeline.model.scope import SYSTEM
from pipeline.state.tables.detection import FindingRow
from pipeline.state.tables.tickets import RulePrecision, Ticket, TicketFinding, TicketHistory
from pipeline.tickets.assets import place
from pipeline.tickets.clocks.clocks import follow
from pipeline.tickets.history import record
from pipeline.tickets.priority import of_ticket

STORM = "storm"


def begin(
    session: Session, ticket: Ticket, *, now: datetime,
    verdicts: Mapping[tuple[str, str], RulePrecision] | None = None,
) -> None:  # fmt: skip
    """What a ticket needs that has just been opened with the figures of its one finding. `verdicts` are those of its
    rule, where they were read before."""
    place(session, ticket)
    ticket.priority = of_ticket(session, ticket, verdicts).points
    follow(session, ticket, now=now, first=True)


def refresh(
    session: Session, ticket: Ticket, *, now: datetime, tell: bool = True, lost: int = 0
) -> None:
    """Bring the ticket's figures up to its findings. `tell` writes what is news into the history; that its
    findings have `lost` events is, even where others took their place."""
    session.flush()
    living = (TicketFinding.ticket == ticket.id, TicketFinding.gone.is_(False))
    found = session.execute(
        sa.select(
            sa.func.min(TicketFinding.first).label("first"),
            sa.func.max(TicketFinding.last).label("last"),
            sa.func.sum(TicketFinding.events).label("events"),
            sa.func.count().label("findings"),
            sa.func.count(TicketFinding.rule.distinct()).label("rules"),
        ).where(*living)
    ).one()
    before = _figures(ticket)
    ticket.events, ticket.findings = int(found.events or 0), found.findings
    if found.findings:
        ticket.first, ticket.last, ticket.rules = found.first, found.last, found.rules
        _name(session, ticket, living)
    place(session, ticket)
    ticket.priority = of_ticket(session, ticket).points
    if tell and (lost or _figures(ticket) != before):
        ticket.changed = now
        _tell(session, ticket, before, now, lost)
    follow(session, ticket, now=now)


def _figures(ticket: Ticket) -> dict[str, Any]:
    names = ("first", "events", "findings", "rules", "severity_rank", "last", "title")
    return {name: getattr(ticket, name) for name in names}


def _name(session: Session, ticket: Ticket, living: tuple[sa.ColumnElement[bool], ...]) -> None:
    """The title of the severest finding, the entity as the earliest wrote it."""
    query = (
        sa.select(FindingRow)
        .join(TicketFinding, TicketFinding.finding == FindingRow.id)
        .where(*living)
        .limit(1)
    )
    by_time = (TicketFinding.first, TicketFinding.finding)
    severest = session.scalars(query.order_by(TicketFinding.rank.desc(), *by_time)).one()
    ticket.rule, ticket.title = severest.rule, severest.title
    if not ticket.severity_by:
        ticket.severity, ticket.severity_rank = severest.level, Level(severest.level).rank
    if ticket.kind != STORM:
        ticket.entity = session.scalars(query.order_by(*by_time)).one().entity


def _tell(
    session: Session, ticket: Ticket, before: dict[str, Any], now: datetime, lost: int
) -> None:
    told = _told(session, ticket)
    news = (
        ticket.severity_rank > before["severity_rank"]
        or ticket.rules != before["rules"]
        or ticket.first < before["first"]
        or ticket.events >= 2 * told
        or lost > 0
        or ticket.events < before["events"]
    )
    if news:
        detail = {"events": ticket.events, "before": before["events"], "rules": ticket.rules}
        if lost:
            detail["taken_back"] = lost
        record(
            session, ticket, "amended", by=SYSTEM.name, at=now,
            detail=detail | {"findings": ticket.findings},
        )  # fmt: skip


def _told(session: Session, ticket: Ticket) -> int:
    """The count of events that the newest entry of the history which has one gives."""
    entries = session.scalars(
        sa.select(TicketHistory.detail)
        .where(TicketHistory.ticket == ticket.id, TicketHistory.what.in_(("opened", "amended")))
        .order_by(TicketHistory.place.desc())
        .limit(1)
    )
    return next((int(d.get("events", 1)) for d in entries), 1)
