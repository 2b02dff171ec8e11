"""One-time sign-in links: for the first sign-in, and for whoever forgot a password.

In: whom it is for. Out: a secret of 43 characters; the console's address of it is ``/link/SECRET``.
Opening the address spends nothing (mail filters open links); the form behind it does, by POST, once.
A new link makes the person's older ones void. The state holds only a hash.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from pipeline.access import log, people
from pipeline.access.hashing import hashed, new_secret
from pipeline.access.permissions import require
from pipeline.model.errors import ConflictError
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.access import Link

LIFETIME = timedelta(hours=24)


def issue(state: State, actor: Actor, person: str, *, now: datetime) -> str:
    """The secret, shown once. NotFoundError for an unknown person, ConflictError for a disabled one."""
    require(actor, "person.write", None)
    secret = new_secret()
    with state.begin() as db:
        if people.read(db, person).disabled is not None:
            raise ConflictError("this person is disabled", got=person)
        db.execute(delete(Link).where(Link.person == person, Link.spent.is_(None)))
        db.add(Link(id=hashed(secret), person=person, created=now, expires=now + LIFETIME))
        log.record(db, actor.name, "link_issued", person, now=now)
    return secret


def spend(state: State, secret: str, *, now: datetime) -> people.Person | None:
    """The link's person, once; None if it is unknown, spent, too old, or its person disabled."""
    with state.begin() as db:
        spent = db.execute(
            update(Link)
            .where(Link.id == hashed(secret), Link.spent.is_(None), Link.expires > now)
            .values(spent=now)
        )
        if spent.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE's result has it
            log.record(db, "visitor", "link_refused", now=now)
            return None
        owner = db.scalar(select(Link.person).where(Link.id == hashed(secret)))
        person = people.read(db, owner or "")
        if person.disabled is not None:
            return None
        log.record(db, f"person:{person.id}", "sign_in", "link", now=now)
        return person
