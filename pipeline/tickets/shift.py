"""The end of a shift: what one tells the next, and the open tickets that go with it.

In: who leaves, a note, and for their open tickets either a person who takes them on or nobody (back to the
queue). Out: a `HandOver` row, and on each ticket a line with the note; who leaves is on duty no
more. Idempotent by key: a form that is sent twice hands over once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from pipeline.access.permissions import require, scope_for
from pipeline.model.errors import NotFoundError
from pipeline.model.ids import new_id
from pipeline.model.scope import Actor
from pipeline.model.tickets import TicketStatus
from pipeline.state.state import State
from pipeline.state.tables.access import Person
from pipeline.state.tables.tickets import HandOver, Ticket
from pipeline.tickets.clocks.clocks import follow
from pipeline.tickets.deeds import CLAIM_HOLDS, once
from pipeline.tickets.history import record
from pipeline.tickets.life import checked_text
from pipeline.tickets.notices import go_off_duty

MOST: Final = 200


class Note(msgspec.Struct, frozen=True):
    """A hand-over as the next shift reads it. `tickets` are numbers."""

    id: str
    by: str
    at: datetime
    text: str
    tickets: tuple[int, ...]


def hand_over(
    state: State, actor: Actor, *, text: str, to: str = "", numbers: Sequence[int] = (),
    key: str = "", now: datetime,
) -> tuple[int, ...]:  # fmt: skip
    """Leave a note; of the numbers, those that are the actor's open tickets go to `to` (a person's id), or
    back to the queue. The numbers that went."""
    text = checked_text(text)
    require(actor, "ticket.claim", None)
    chosen = sorted(set(numbers))[:MOST]

    def deed(session: Any) -> dict[str, Any]:
        if to:
            person = session.get(Person, to)
            if person is None or person.disabled is not None:
                raise NotFoundError("no such person", got=to)
        mine = session.scalars(
            sa.select(Ticket)
            .where(Ticket.number.in_(chosen), Ticket.owner == actor.name, Ticket.closed.is_(None))
            .order_by(Ticket.number)
            .with_for_update()
        ).all()
        for ticket in mine:
            ticket.owner = f"person:{to}" if to else ""
            ticket.owner_until = now + CLAIM_HOLDS if to else None
            if not to:
                ticket.status, ticket.waiting_for = TicketStatus.NEW.value, ""
            ticket.revision += 1
            detail = {"to": ticket.owner, "before": actor.name} if to else {"before": actor.name}
            record(session, ticket, "handed_over", by=actor.name, at=now, text=text, detail=detail)
            follow(session, ticket, now=now)
        go_off_duty(session, actor)
        went = [ticket.number for ticket in mine]
        session.add(HandOver(id=new_id(), by=actor.name, at=now, text=text, tickets=went))
        return {"tickets": went}

    what = ("hand_over", text, to, ",".join(map(str, chosen)))
    return tuple(once(state, actor, key, what, deed, now=now)["tickets"])


def hand_overs(state: State, actor: Actor, *, limit: int = 10) -> list[Note]:
    """The newest notes. They speak of every agency: who is held to some reads none."""
    if scope_for(actor, "ticket.read").agencies is not None:
        return []
    with state.read() as session:
        rows = session.scalars(
            sa.select(HandOver).order_by(HandOver.at.desc(), HandOver.id.desc()).limit(limit)
        )
        return [Note(r.id, r.by, r.at, r.text, tuple(r.tickets)) for r in rows]
