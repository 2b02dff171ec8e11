"""Claims by people who are gone: a claim whose time has run out goes back to the queue.

In: `now`. Out: how many lapsed. A ticket is claimable from that moment on (`life.claim` sees to it); this
makes it seen: nobody's, new, with a line in its history.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa

from pipeline.model.scope import SYSTEM
from pipeline.model.tickets import TicketStatus
from pipeline.state.state import State
from pipeline.state.tables.tickets import Ticket
from pipeline.tickets.clocks.clocks import follow
from pipeline.tickets.history import record

_MOST: Final = 25  # tickets of one transaction


def lapse_once(state: State, *, now: datetime) -> int:
    """Give back the claims that have run out, some at a time."""
    due = (Ticket.owner_until <= now, Ticket.closed.is_(None), Ticket.owner != "")
    with state.read() as session:
        if session.scalar(sa.select(Ticket.id).where(*due).limit(1)) is None:
            return 0
    with state.begin() as session:
        query = sa.select(Ticket).where(*due).order_by(Ticket.owner_until).limit(_MOST)
        lapsed = list(session.scalars(query.with_for_update()))
        for ticket in lapsed:
            detail = {"before": ticket.owner, "was": ticket.status}
            ticket.owner, ticket.owner_until, ticket.waiting_for = "", None, ""
            ticket.status = TicketStatus.NEW.value
            ticket.revision += 1
            record(session, ticket, "lease_expired", by=SYSTEM.name, at=now, detail=detail)
            follow(session, ticket, now=now)
    return len(lapsed)
