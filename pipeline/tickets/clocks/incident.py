"""What people have seen of an incident, and the notices that the law demands of it.

Each is a deed like those of `life.py`. A sign starts the legal clocks of the pack that was in force at detection,
from detection on; taking it back voids them; a notice, with whom it went to, ends its clock, in time or late.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from pipeline.model.clock import to_iso
from pipeline.model.errors import ConflictError, NotFoundError, UsageError
from pipeline.state.state import State
from pipeline.state.tables.tickets import Ticket
from pipeline.tickets.clocks.clocks import LEGAL, RUNNING, clocks_of, detected, end, press
from pipeline.tickets.clocks.packs import standing
from pipeline.tickets.deeds import Outcome, Request, do
from pipeline.tickets.history import record
from pipeline.tickets.life import checked_text


def mark(
    state: State, request: Request, *, sign: str, seen: bool, reason: str, now: datetime
) -> Outcome:
    """Say that the incident shows a sign, or that it does not after all; why stays in the history."""
    reason = checked_text(reason)

    def deed(session: Session, ticket: Ticket) -> None:
        pack = standing().legal_at(detected(session, ticket))
        known = pack.signs if pack else {}
        if sign not in known:
            raise UsageError(
                "no such sign of an incident", got=repr(sign[:40]), expected=", ".join(known)
            )
        if (sign in ticket.signs) == seen:
            return
        signs = {*ticket.signs, sign} if seen else {*ticket.signs} - {sign}
        ticket.signs = sorted(signs)
        ticket.revision += 1
        what = "sign" if seen else "sign_taken_back"
        record(
            session, ticket, what, by=request.actor.name, at=now, text=reason, detail={"sign": sign}
        )

    what = ("mark", sign, str(seen), reason)
    return do(state, request, "ticket.claim", deed, what=what, now=now)


def notified(
    state: State, request: Request, *, clock: str, recipient: str, now: datetime
) -> Outcome:
    """The notice that a legal clock waits for has been given, to whom and by which channel."""
    recipient = checked_text(recipient)

    def deed(session: Session, ticket: Ticket) -> None:
        clocks = clocks_of(session, ticket)
        row = clocks.get(clock)
        if row is None or row.kind != LEGAL:
            raise NotFoundError("the ticket has no such legal clock", got=clock[:40])
        if row.state not in RUNNING:
            raise ConflictError("this clock runs no more", where=clock, got=row.state)
        end(row, standing(), now)
        row.next = None
        ticket.revision += 1
        detail = {"clock": clock, "late": row.state == "missed"}
        if row.due is not None:
            detail["due"] = to_iso(row.due)
        record(
            session,
            ticket,
            "clock_met",
            by=request.actor.name,
            at=now,
            text=recipient,
            detail=detail,
        )
        press(ticket, clocks.values())

    return do(state, request, "ticket.claim", deed, what=("notified", clock, recipient), now=now)
