"""Every write of a ticket passes here: once, by one who may, on the revision that they saw.

In: who, the permission, which ticket, the revision seen (None: whatever it is), an idempotency key.
Out: an `Outcome`. A repeat under the same key gets the first answer; another request under it is a
conflict. A ticket of an agency beyond the actor's reach does not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.access.permissions import require, scope_for
from pipeline.model.clock import for_people
from pipeline.model.errors import ConflictError, NotFoundError, StaleError
from pipeline.model.ids import content_hash
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.tickets import Deed, Ticket
from pipeline.tickets.clocks.clocks import follow

CLAIM_HOLDS: Final = timedelta(hours=12)
"""After the owner's last deed; then anyone may claim."""
REMEMBERED: Final = timedelta(days=7)
"""So long a repeat under a key gets the first answer."""
_REF: Final[sa.BindParameter[int | str]] = sa.bindparam("ref")
_TICKETS: Final = {
    (lock, numbered): query.with_for_update() if lock else query
    for lock in (True, False)
    for numbered, query in (
        (True, sa.select(Ticket).where(Ticket.number == _REF)),
        (False, sa.select(Ticket).where(Ticket.id == _REF)),
    )
}
_DONE: Final = sa.select(Deed.request, Deed.answer).where(
    Deed.key == sa.bindparam("key"), Deed.actor == sa.bindparam("who")
)
_REMEMBER: Final = sa.insert(Deed)
"""Statements are made once: making one anew costs as much as asking it."""


class Outcome(msgspec.Struct, frozen=True):
    """A ticket after a deed."""

    ticket: str
    number: int
    revision: int
    status: str
    owner: str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What every deed takes. `ticket` is a number (`17`, `#17`) or an id."""

    actor: Actor
    ticket: str
    revision: int | None = None
    key: str = ""


def find(
    session: Session, actor: Actor, ref: str, permission: str, *, lock: bool = False
) -> Ticket:
    """The ticket by number or id, if the actor has the permission over its agency."""
    scope_for(actor, permission)  # a role without it hears so, whether the ticket exists or not
    text = ref.removeprefix("#")
    number = int(text) if text.isdecimal() and len(text) < 16 else 0
    ticket = session.scalar(_TICKETS[lock, number > 0], {"ref": number or text})
    if ticket is not None:
        try:
            require(actor, permission, ticket.agency)
        except NotFoundError:
            ticket = None
    if ticket is None:
        raise NotFoundError("no such ticket", got=ref)
    return ticket


def do(
    state: State,
    request: Request,
    permission: str,
    deed: Callable[[Session, Ticket], None],
    *,
    what: tuple[str, ...],
    now: datetime,
) -> Outcome:
    """Run `deed` on the ticket in one transaction. `what` names it and its arguments."""

    def whole(session: Session) -> dict[str, Any]:
        ticket = find(session, request.actor, request.ticket, permission, lock=True)
        if request.revision is not None and request.revision != ticket.revision:
            raise StaleError(
                "the ticket has changed since you saw it",
                where=f"ticket {ticket.number}",
                got=f"revision {request.revision}",
                expected=f"revision {ticket.revision}, {standing(ticket)}",
                remedy="look at it again, then repeat",
            )
        deed(session, ticket)
        follow(session, ticket, now=now)
        outcome = Outcome(ticket.id, ticket.number, ticket.revision, ticket.status, ticket.owner)
        answer: dict[str, Any] = msgspec.to_builtins(outcome)
        return answer

    asked = (*what, request.ticket, str(request.revision))
    return msgspec.convert(once(state, request.actor, request.key, asked, whole, now=now), Outcome)


def once(
    state: State,
    actor: Actor,
    key: str,
    what: tuple[str, ...],
    deed: Callable[[Session], dict[str, Any]],
    *,
    now: datetime,
) -> dict[str, Any]:
    """Run `deed` in one transaction; under a key that was used for `what` before, give that answer."""
    asked = content_hash(*what)
    with state.begin() as session:
        asking = session.connection()
        done = asking.execute(_DONE, {"key": key, "who": actor.name}).first() if key else None
        if done is not None:
            if done.request != asked:
                raise ConflictError("this idempotency key was used for another request", got=key)
            first: dict[str, Any] = done.answer
            return first
        answer = deed(session)
        if key:
            row = {"key": key, "actor": actor.name, "request": asked, "answer": answer, "at": now}
            asking.execute(_REMEMBER, row)
    return answer


def forget_deeds(state: State, *, now: datetime) -> int:
    """Drop the answers that nobody will ask for again; how many went."""
    with state.begin() as session:
        done = session.execute(sa.delete(Deed).where(Deed.at < now - REMEMBERED))
        return int(done.rowcount)  # type: ignore[attr-defined]


def standing(ticket: Ticket) -> str:
    """Who has the ticket now, in words."""
    if ticket.closed is not None:
        return f"closed {for_people(ticket.closed)} as {ticket.reason}"
    return f"{ticket.status}, held by {ticket.owner}" if ticket.owner else f"{ticket.status}, free"
