"""What changed in the queue since a place in the history: for who watches it live.

In: an actor, a place (the id of a line of any ticket's history). Out: the tickets within reach that have newer
lines, each once, in the order of their newest. Lines become visible in the order of their ids (writers take turns),
so that a watcher who goes on from the last place it saw misses nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa

from pipeline.access.permissions import scope_for
from pipeline.access.scoping import within
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.tickets import Ticket, TicketHistory

MOST: Final = 200
BEHIND: Final = 2_000
"""A watcher who is so many lines behind looks at the queue anew."""


class Change(msgspec.Struct, frozen=True):
    """A ticket as it is now; `what` happened last, at `place`."""

    place: int
    number: int
    what: str
    revision: int
    status: str
    owner: str
    severity: str
    priority: int
    agency: str
    title: str
    drill: bool
    changed: datetime


class Changes(msgspec.Struct, frozen=True):
    """`place` is where to go on. `gap`: more has happened than is told; look at the queue anew."""

    items: tuple[Change, ...]
    place: int
    gap: bool = False


def place_now(state: State) -> int:
    with state.read() as session:
        return session.scalar(sa.select(sa.func.max(TicketHistory.id))) or 0


def changes_since(state: State, actor: Actor, place: int) -> Changes:
    scope = scope_for(actor, "ticket.read")
    with state.read() as session:
        last = session.scalar(sa.select(sa.func.max(TicketHistory.id))) or 0
        if last <= place:
            return Changes((), min(place, last))
        if last - place > BEHIND:
            return Changes((), last, gap=True)
        newest = (
            sa.select(sa.func.max(TicketHistory.id).label("place"))
            .join(Ticket, Ticket.id == TicketHistory.ticket)
            .where(TicketHistory.id > place, within(Ticket.agency, scope))
            .group_by(TicketHistory.ticket)
            .order_by(sa.func.max(TicketHistory.id))
            .limit(MOST + 1)
            .subquery()
        )
        rows = session.execute(
            sa.select(TicketHistory.id, TicketHistory.what, Ticket)
            .join(newest, newest.c.place == TicketHistory.id)
            .join(Ticket, Ticket.id == TicketHistory.ticket)
            .order_by(TicketHistory.id)
        ).all()
    items = tuple(
        Change(
            at, t.number, what, t.revision, t.status, t.owner, t.severity, t.priority, t.agency,
            t.title, t.drill, t.changed,
        )
        for at, what, t in rows[:MOST]
    )  # fmt: skip
    return Changes(items, items[-1].place if len(rows) > MOST else last)
