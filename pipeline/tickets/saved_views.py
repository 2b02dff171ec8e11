"""A person's names for filters of the queue: the address of a page, kept under a name of their own.

In: who, a name, a query string. Out: views in order of their names. Nobody sees another's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl

import msgspec
import sqlalchemy as sa

from pipeline.access.permissions import require
from pipeline.model.errors import ConflictError, UsageError
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.tickets import SavedView

MOST: Final = 20
NAMES: Final = (
    "status", "agency", "at_least", "owner", "rule", "entity", "words", "tag", "alert", "drill",
)  # fmt: skip
"""The filters that an address of the queue has."""
_LONGEST: Final = 1_000


class View(msgspec.Struct, frozen=True):
    """`query` is what stands behind the question mark of the queue's address."""

    name: str
    query: str


def save_view(state: State, actor: Actor, *, name: str, query: str, now: datetime) -> None:
    """Keep the query under the name, in place of what was kept under it."""
    require(actor, "ticket.read", None)
    name = " ".join(name.split())
    if not 1 <= len(name) <= 60 or not name.isprintable():
        raise UsageError("a view has a name", got=repr(name[:80]), expected="1 to 60 characters")
    if len(query) > _LONGEST:
        raise UsageError("the text is too long", got=f"{len(query)} characters")
    odd = sorted({key for key, _ in parse_qsl(query, keep_blank_values=True)} - {*NAMES})
    if odd:
        raise UsageError("no such filter", got=", ".join(odd)[:200], expected=", ".join(NAMES))
    with state.begin() as session:
        row = session.get(SavedView, (actor.name, name))
        if row is not None:
            row.query = query
            return
        held = sa.select(sa.func.count()).where(SavedView.person == actor.name)
        if (session.scalar(held) or 0) >= MOST:
            raise ConflictError("you have as many views as one can have", expected=str(MOST))
        session.add(SavedView(person=actor.name, name=name, query=query, made=now))


def drop_view(state: State, actor: Actor, name: str) -> None:
    """Forget it. One that is not there is forgotten already."""
    require(actor, "ticket.read", None)
    with state.begin() as session:
        session.execute(
            sa.delete(SavedView).where(SavedView.person == actor.name, SavedView.name == name)
        )


def views_of(state: State, actor: Actor) -> list[View]:
    require(actor, "ticket.read", None)
    with state.read() as session:
        query = sa.select(SavedView).where(SavedView.person == actor.name).order_by(SavedView.name)
        return [View(row.name, row.query) for row in session.scalars(query)]
