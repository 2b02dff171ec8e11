"""The life of a ticket: who has it, what was said, how it ended.

    new ─▶ claimed ─▶ in_progress ⇄ waiting ─▶ closed ─▶ reopened ─▶ claimed …

Each deed is compare-and-set on the revision, idempotent by key, and leaves its line in the history.
Invariants: one owner at a time; a claim holds for twelve hours after its owner's last deed (for a week
while the ticket waits for an answer), then anyone may claim; who closes gives one of the eight reasons
and a note (*recovered* is the system's).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy.orm import Session

from pipeline.model.errors import ConflictError, NotFoundError, UsageError
from pipeline.model.scope import Actor
from pipeline.model.tickets import ClosingReason, TicketStatus
from pipeline.state.state import State
from pipeline.state.tables.access import Person
from pipeline.state.tables.tickets import Ticket
from pipeline.tickets.deeds import CLAIM_HOLDS, Outcome, Request, do, find, standing
from pipeline.tickets.history import record
from pipeline.tickets.merging import join, part

WAITING_HOLDS: Final = timedelta(days=7)
MAX_TEXT: Final = 20_000
WAITING_FOR: Final = ("agency", "supplier")


def claim(state: State, request: Request, *, now: datetime) -> Outcome:
    """Take a free ticket, or keep one's own. ConflictError says who has it."""

    def deed(session: Session, ticket: Ticket) -> None:
        _must_be_open(ticket)
        me = request.actor.name
        if _holder(ticket, now) not in ("", me):
            raise _held(ticket)
        if ticket.owner != me:
            before = {"before": ticket.owner} if ticket.owner else {}
            _own(ticket, me, now)
            _enter(ticket, TicketStatus.CLAIMED)
            _note(session, ticket, request, "claimed", now, detail=before)
        ticket.owner_until = max(ticket.owner_until or now, now + CLAIM_HOLDS)

    return do(state, request, "ticket.claim", deed, what=("claim",), now=now)


def release(state: State, request: Request, *, note: str = "", now: datetime) -> Outcome:
    """Give one's own ticket back to the queue."""
    note = checked_text(note, needed=False)

    def deed(session: Session, ticket: Ticket) -> None:
        _must_be_open(ticket)
        if ticket.owner != request.actor.name:
            raise _held(ticket)
        _own(ticket, "", now)
        _enter(ticket, TicketStatus.NEW)
        _note(session, ticket, request, "released", now, text=note)

    return do(state, request, "ticket.claim", deed, what=("release", note), now=now)


def take_over(state: State, request: Request, *, reason: str, now: datetime) -> Outcome:
    """Take a ticket that another holds, with a reason that stays in the history."""
    reason = checked_text(reason)

    def deed(session: Session, ticket: Ticket) -> None:
        _must_be_open(ticket)
        before = ticket.owner
        if before == request.actor.name:
            raise ConflictError("the ticket is yours already", where=f"ticket {ticket.number}")
        _own(ticket, request.actor.name, now)
        if ticket.status in (TicketStatus.NEW, TicketStatus.REOPENED):
            _enter(ticket, TicketStatus.CLAIMED)
        _note(session, ticket, request, "taken_over", now, text=reason, detail={"before": before})

    return do(state, request, "ticket.claim", deed, what=("take_over", reason), now=now)


def assign(state: State, request: Request, *, to: str, note: str = "", now: datetime) -> Outcome:
    """Give the ticket to a person (by id)."""
    note = checked_text(note, needed=False)

    def deed(session: Session, ticket: Ticket) -> None:
        _must_be_open(ticket)
        person = session.get(Person, to)
        if person is None or person.disabled is not None:
            raise NotFoundError("no such person", got=to)
        before = ticket.owner
        _own(ticket, f"person:{to}", now)
        if ticket.status in (TicketStatus.NEW, TicketStatus.REOPENED):
            _enter(ticket, TicketStatus.CLAIMED)
        detail = {"to": ticket.owner, "before": before}
        _note(session, ticket, request, "assigned", now, text=note, detail=detail)

    return do(state, request, "ticket.assign", deed, what=("assign", to, note), now=now)


def start(state: State, request: Request, *, now: datetime) -> Outcome:
    """Begin (or go on with) the work on one's own ticket."""

    def deed(session: Session, ticket: Ticket) -> None:
        _must_be_mine(ticket, request.actor)
        if ticket.status == TicketStatus.IN_PROGRESS:
            ticket.owner_until = now + CLAIM_HOLDS
            return
        _own(ticket, ticket.owner, now)
        _enter(ticket, TicketStatus.IN_PROGRESS)
        _note(session, ticket, request, "in_progress", now)

    return do(state, request, "ticket.claim", deed, what=("start",), now=now)


def wait_for(state: State, request: Request, *, whom: str, note: str, now: datetime) -> Outcome:
    """Wait for the agency or a supplier; the note is what they are asked."""
    note = checked_text(note)
    if whom not in WAITING_FOR:
        raise UsageError(
            "a ticket waits for one of these", got=whom, expected=" or ".join(WAITING_FOR)
        )

    def deed(session: Session, ticket: Ticket) -> None:
        _must_be_mine(ticket, request.actor)
        _own(ticket, ticket.owner, now, holds=WAITING_HOLDS)
        _enter(ticket, TicketStatus.WAITING, whom)
        _note(session, ticket, request, "waiting", now, text=note, detail={"for": whom})

    return do(state, request, "ticket.claim", deed, what=("wait", whom, note), now=now)


def comment(state: State, request: Request, *, text: str, now: datetime) -> Outcome:
    """Say something. Needs no claim and makes nobody's revision stale, but for an officer's answer to a
    ticket that waits for the agency: the work on it can go on."""
    text = checked_text(text)

    def deed(session: Session, ticket: Ticket) -> None:
        say(session, ticket, request, text, now=now)

    return do(state, request, "ticket.comment", deed, what=("comment", text), now=now)


def say(
    session: Session, ticket: Ticket, request: Request, text: str, *, now: datetime,
    detail: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """A comment, or the answer that the ticket waits for, within a deed."""
    answers = ticket.status == TicketStatus.WAITING and ticket.waiting_for == "agency"
    if not answers or request.actor.role != "officer":
        _note(session, ticket, request, "commented", now, text=text, detail=detail)
        return
    _own(ticket, ticket.owner, now)
    _enter(ticket, TicketStatus.IN_PROGRESS if ticket.owner else TicketStatus.NEW)
    _note(session, ticket, request, "answered", now, text=text, detail=detail)


def close(
    state: State,
    request: Request,
    *,
    reason: str,
    note: str,
    duplicate_of: str = "",
    now: datetime,
) -> Outcome:
    """End a ticket that is one's own or nobody's, with one of the eight reasons and a note."""
    note = checked_text(note)
    why = _reason(reason, request.actor)

    def deed(session: Session, ticket: Ticket) -> None:
        _must_be_open(ticket)
        must_not_be_anothers(ticket, request.actor, now)
        if duplicate_of:
            other = find(session, request.actor, duplicate_of, "ticket.read", lock=True)
            if why is not ClosingReason.DUPLICATE:
                raise UsageError(
                    "only a duplicate is closed as one of another ticket", got=duplicate_of
                )
            join(session, ticket, other, by=request.actor.name, now=now, text=note)
            return
        detail: dict[str, Any] = {"reason": why.value}
        _enter(ticket, TicketStatus.CLOSED)
        ticket.reason, ticket.closed = why.value, now
        ticket.owner_until = None
        ticket.revision += 1
        _note(session, ticket, request, "closed", now, text=note, detail=detail)

    what = ("close", why.value, note, duplicate_of)
    return do(state, request, "ticket.close", deed, what=what, now=now)


def reopen(state: State, request: Request, *, note: str, now: datetime) -> Outcome:
    """Put a closed ticket back into the queue; its history and its earlier end stay. A duplicate is parted
    from what it was one of."""
    note = checked_text(note)

    def deed(session: Session, ticket: Ticket) -> None:
        if ticket.closed is None:
            raise ConflictError(
                "the ticket is open", where=f"ticket {ticket.number}", got=standing(ticket)
            )
        if part(session, ticket, by=request.actor.name, now=now, text=note):
            return
        detail = {"reason": ticket.reason, "owner": ticket.owner}
        _enter(ticket, TicketStatus.REOPENED)
        ticket.reason, ticket.closed = "", None
        _own(ticket, "", now)
        _note(session, ticket, request, "reopened", now, text=note, detail=detail)

    return do(state, request, "ticket.reopen", deed, what=("reopen", note), now=now)


def _note(
    session: Session,
    ticket: Ticket,
    request: Request,
    what: str,
    now: datetime,
    *,
    text: str = "",
    detail: dict[str, Any] | None = None,
) -> None:
    record(session, ticket, what, by=request.actor.name, at=now, text=text, detail=detail)


def _own(ticket: Ticket, owner: str, now: datetime, holds: timedelta = CLAIM_HOLDS) -> None:
    ticket.owner = owner
    ticket.owner_until = now + holds if owner else None
    if owner and ticket.claimed is None:
        ticket.claimed = now
    ticket.revision += 1


def _enter(ticket: Ticket, status: TicketStatus, waiting_for: str = "") -> None:
    ticket.status, ticket.waiting_for = status.value, waiting_for


def _holder(ticket: Ticket, now: datetime) -> str:
    """Who has a claim that still holds."""
    lapsed = ticket.owner_until is not None and ticket.owner_until <= now
    return "" if lapsed else ticket.owner


def _must_be_open(ticket: Ticket) -> None:
    if ticket.closed is not None:
        raise ConflictError(
            "the ticket is closed",
            where=f"ticket {ticket.number}",
            got=standing(ticket),
            remedy="reopen it first",
        )


def must_not_be_anothers(ticket: Ticket, actor: Actor, now: datetime) -> None:
    """The ticket is free, or the actor's own."""
    if _holder(ticket, now) not in ("", actor.name):
        raise _held(ticket)


def _must_be_mine(ticket: Ticket, actor: Actor) -> None:
    _must_be_open(ticket)
    if ticket.owner != actor.name:
        raise _held(ticket)


def _held(ticket: Ticket) -> ConflictError:
    if not ticket.owner:
        return ConflictError(
            "nobody has claimed the ticket",
            where=f"ticket {ticket.number}",
            remedy="claim it first",
        )
    return ConflictError(
        "another person holds the ticket",
        where=f"ticket {ticket.number}",
        got=standing(ticket),
        remedy="ask them, or take it over with a reason",
    )


def checked_text(text: str, *, needed: bool = True) -> str:
    """What a person wrote, without what a database cannot hold."""
    text = text.strip().replace("\0", "\N{REPLACEMENT CHARACTER}")
    if needed and not text:
        raise UsageError("this deed needs a note", remedy="say in a sentence why")
    if len(text) > MAX_TEXT:
        raise UsageError(
            "the text is too long", got=f"{len(text)} characters", expected=f"{MAX_TEXT:,}"
        )
    return text.encode("utf-8", "replace").decode()


def _reason(reason: str, actor: Actor) -> ClosingReason:
    known = [r for r in ClosingReason if r is not ClosingReason.RECOVERED or actor.kind == "system"]
    if reason not in known:
        raise UsageError("no such closing reason", got=reason, expected=", ".join(known))
    return ClosingReason(reason)
