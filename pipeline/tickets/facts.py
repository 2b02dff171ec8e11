"""What people say of a ticket without owning it: joined tickets, tags, how far it may go, done steps, severity.

Each is a deed like those of `life.py`: by who may, idempotent by key, with its line in the history.
Tags and steps are added and taken away one by one, so that two people at it do not undo each other.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.model.detections import Level
from pipeline.model.errors import ConflictError, UsageError
from pipeline.model.tickets import Tlp
from pipeline.state.state import State
from pipeline.state.tables.tickets import Ticket, TicketTag
from pipeline.tickets.deeds import Outcome, Request, do, find
from pipeline.tickets.figures import refresh
from pipeline.tickets.history import record
from pipeline.tickets.life import checked_text, must_not_be_anothers
from pipeline.tickets.merging import join, part

MAX_TAGS: Final = 20
_TAG: Final = re.compile(r"[\w.:-]{1,40}")
_STEP: Final = re.compile(r"[0-9a-f]{16}")


def merge(state: State, request: Request, *, into: str, note: str, now: datetime) -> Outcome:
    """Close the ticket as a duplicate of another of its agency: its findings count there."""
    note = checked_text(note, needed=False)

    def deed(session: Session, ticket: Ticket) -> None:
        main = find(session, request.actor, into, "ticket.merge", lock=True)
        must_not_be_anothers(ticket, request.actor, now)
        join(session, ticket, main, by=request.actor.name, now=now, text=note)

    return do(state, request, "ticket.merge", deed, what=("merge", into, note), now=now)


def unmerge(state: State, request: Request, *, note: str, now: datetime) -> Outcome:
    """Take the ticket out of the one that it is a duplicate of; its findings come back with it."""
    note = checked_text(note)

    def deed(session: Session, ticket: Ticket) -> None:
        part(session, ticket, by=request.actor.name, now=now, text=note)

    return do(state, request, "ticket.merge", deed, what=("unmerge", note), now=now)


def tag(state: State, request: Request, *, tag: str, on: bool = True, now: datetime) -> Outcome:
    """Put a word on the ticket, or take it off."""
    word = read_tag(tag)

    def deed(session: Session, ticket: Ticket) -> None:
        row = session.get(TicketTag, (ticket.id, word))
        if (row is not None) == on:
            return
        if row is not None:
            session.delete(row)
        elif _tags(session, ticket) >= MAX_TAGS:
            raise ConflictError("the ticket has as many tags as it can", expected=str(MAX_TAGS))
        else:
            session.add(TicketTag(ticket=ticket.id, tag=word))
        what = "tagged" if on else "untagged"
        record(session, ticket, what, by=request.actor.name, at=now, detail={"tag": word})

    return do(state, request, "ticket.claim", deed, what=("tag", word, str(on)), now=now)


def read_tag(text: str) -> str:
    word = unicodedata.normalize("NFC", text.strip().lower())
    if not _TAG.fullmatch(word):
        raise UsageError(
            "a tag is one word",
            got=repr(text[:60]),
            expected="letters, digits and . : - _, up to 40",
        )
    return word


def _tags(session: Session, ticket: Ticket) -> int:
    query = sa.select(sa.func.count()).where(TicketTag.ticket == ticket.id)
    return session.scalar(query) or 0


def set_tlp(state: State, request: Request, *, tlp: str, now: datetime) -> Outcome:
    """Say how far what the ticket holds may go (TLP 2.0)."""
    if tlp not in list(Tlp):
        raise UsageError("no such TLP", got=repr(tlp[:40]), expected=", ".join(Tlp))

    def deed(session: Session, ticket: Ticket) -> None:
        if ticket.tlp != tlp:
            detail = {"tlp": tlp, "before": ticket.tlp}
            ticket.tlp = tlp
            ticket.revision += 1
            record(session, ticket, "tlp", by=request.actor.name, at=now, detail=detail)

    return do(state, request, "ticket.claim", deed, what=("tlp", tlp), now=now)


def check(state: State, request: Request, *, step: str, done: bool, now: datetime) -> Outcome:
    """Tick a step of the checklist, or take the tick away. `step` is its key (`playbook.py`)."""
    if not _STEP.fullmatch(step):
        raise UsageError("no such step", got=repr(step[:40]))

    def deed(session: Session, ticket: Ticket) -> None:
        if (step in ticket.checks) == done:
            return
        rest = {key: who for key, who in ticket.checks.items() if key != step}
        ticket.checks = rest | ({step: request.actor.name} if done else {})
        what = "checked" if done else "unchecked"
        record(session, ticket, what, by=request.actor.name, at=now, detail={"step": step})

    return do(state, request, "ticket.claim", deed, what=("check", step, str(done)), now=now)


def set_severity(
    state: State, request: Request, *, severity: str, reason: str, now: datetime
) -> Outcome:
    """Override the severity, with a reason; empty gives it back to the findings."""
    reason = checked_text(reason)
    if severity and severity not in list(Level):
        raise UsageError("no such severity", got=repr(severity[:40]), expected=", ".join(Level))

    def deed(session: Session, ticket: Ticket) -> None:
        before = ticket.severity
        if severity:
            ticket.severity, ticket.severity_rank = severity, Level(severity).rank
            ticket.severity_by = request.actor.name
        else:
            ticket.severity_by = ""
        ticket.revision += 1
        refresh(session, ticket, now=now, tell=False)
        detail = {"severity": ticket.severity, "before": before, "by_hand": bool(severity)}
        record(
            session, ticket, "severity", by=request.actor.name, at=now, text=reason, detail=detail
        )

    return do(state, request, "ticket.claim", deed, what=("severity", severity, reason), now=now)
