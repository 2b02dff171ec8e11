"""Two tickets that are one piece of work: joined and parted by links, with history; no text is moved.

    #7 ──duplicate of──▶ #4        #7 is closed as a duplicate, its findings count in #4;
                                   parted again, they count in #7 as before, and #7 is open

Idempotent: joining what is joined and parting what is apart change nothing. Invariants: a ticket is
joined to one of its own agency, a drill's to a drill's; no chain of duplicates ends in itself; a
finding counts in exactly one ticket.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.model.errors import ConflictError, UsageError
from pipeline.model.tickets import ClosingReason, TicketStatus
from pipeline.state.tables.tickets import Ticket, TicketFinding
from pipeline.tickets.clocks.clocks import follow
from pipeline.tickets.deeds import CLAIM_HOLDS, standing
from pipeline.tickets.figures import refresh
from pipeline.tickets.history import record


def root_of(session: Session, ticket: Ticket) -> Ticket:
    """The ticket that this one is a duplicate of, in the end; itself where it is of none."""
    while ticket.duplicate_of:
        ticket = session.get_one(Ticket, ticket.duplicate_of, with_for_update=True)
    return ticket


def join(
    session: Session,
    ticket: Ticket,
    main: Ticket,
    *,
    by: str,
    now: datetime,
    text: str = "",
    detail: dict[str, Any] | None = None,
) -> bool:
    """Close `ticket` as a duplicate of `main` (of what that is a duplicate of itself). False: it is so."""
    main = root_of(session, main)
    if ticket.duplicate_of and root_of(session, ticket).id == main.id:
        return False
    if ticket.duplicate_of:
        raise ConflictError(
            "the ticket is a duplicate of another already",
            where=f"ticket {ticket.number}",
            got=standing(ticket),
            remedy="part it from that one first",
        )
    if main.id == ticket.id:
        raise UsageError("a ticket is no duplicate of itself", got=f"#{ticket.number}")
    if (ticket.agency, ticket.drill) != (main.agency, main.drill):
        raise UsageError(
            "only tickets of one agency are merged", got=f"#{ticket.number} and #{main.number}"
        )
    more = detail or {}
    _move(session, TicketFinding.ticket == ticket.id, main)
    ticket.duplicate_of, ticket.apart = main.id, False
    ticket.revision += 1
    if ticket.closed is None:
        ticket.status, ticket.closed = TicketStatus.CLOSED.value, now
        ticket.reason, ticket.owner_until = ClosingReason.DUPLICATE.value, None
        ticket.waiting_for = ""
        said = {"reason": ticket.reason, "duplicate_of": main.number}
        record(session, ticket, "closed", by=by, at=now, text=text, detail=said | more)
    else:
        said = {"duplicate_of": main.number}
        record(session, ticket, "linked", by=by, at=now, text=text, detail=said | more)
    record(session, main, "linked", by=by, at=now, detail={"duplicate": ticket.number} | more)
    _hand_over(session, ticket, main, by=by, now=now)
    main.signs = sorted({*main.signs, *ticket.signs})  # the law's clocks go on with the work
    follow(session, ticket, now=now)
    refresh(session, main, now=now)
    return True


def part(session: Session, ticket: Ticket, *, by: str, now: datetime, text: str = "") -> bool:
    """Undo `join`: the ticket is open again with the findings that were its own. False: it is apart."""
    if not ticket.duplicate_of:
        return False
    main = root_of(session, ticket)
    ticket.duplicate_of, ticket.apart = "", True
    family = _family(session, ticket)
    _move(
        session,
        sa.and_(TicketFinding.ticket == main.id, TicketFinding.home.in_(family)),
        ticket,
    )
    ticket.status, ticket.reason, ticket.closed = TicketStatus.REOPENED.value, "", None
    ticket.owner, ticket.owner_until = "", None
    ticket.revision += 1
    detail = {"duplicate_of": main.number}
    record(session, ticket, "unlinked", by=by, at=now, text=text, detail=detail)
    record(session, main, "unlinked", by=by, at=now, detail={"duplicate": ticket.number})
    for one in (ticket, main):
        refresh(session, one, now=now)
    return True


def _move(session: Session, which: sa.ColumnElement[bool], to: Ticket) -> None:
    session.flush()
    session.execute(
        sa.update(TicketFinding)
        .where(which)
        .values(ticket=to.id)
        .execution_options(synchronize_session="fetch")
    )


def _hand_over(session: Session, ticket: Ticket, main: Ticket, *, by: str, now: datetime) -> None:
    """Work goes on: who held the duplicate holds a main ticket that nobody has."""
    owner = ticket.owner
    if not owner or main.owner or main.closed is not None:
        return
    main.owner, main.owner_until = owner, now + CLAIM_HOLDS
    main.status = TicketStatus.CLAIMED.value
    main.revision += 1
    detail = {"to": owner, "duplicate": ticket.number}
    record(session, main, "assigned", by=by, at=now, detail=detail)


def _family(session: Session, ticket: Ticket) -> list[str]:
    """The ticket and all that are duplicates of it, near and far."""
    found, fresh = [ticket.id], [ticket.id]
    while fresh:
        query = sa.select(Ticket.id).where(Ticket.duplicate_of.in_(fresh))
        fresh = [one for one in session.scalars(query) if one not in found]
        found += fresh
    return found
