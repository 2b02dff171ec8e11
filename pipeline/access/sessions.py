"""Sessions of browsers: a random cookie, of which the state holds a hash.

In: a cookie's value and `now`. Out: who it is, with the CSRF token of their forms, or None.
Invariants: a session ends after 8 h without a deed and after 24 h in any case; a disabled person has
none; every sign-in gets a new one, so that a planted cookie is worth nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, update

from pipeline.access import log, people
from pipeline.access.hashing import hashed, new_secret
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.access import Session

IDLE = timedelta(hours=8)
LONGEST = timedelta(hours=24)
TOUCH = timedelta(
    minutes=1
)  # `seen` is written no more often: reading must not cost a write each time


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed-in person. `session` is the hash that names the session, `csrf` what their forms carry."""

    session: str
    csrf: str
    person: people.Person

    @property
    def actor(self) -> Actor:
        return self.person.actor()


def start(state: State, person: str, *, now: datetime) -> str:
    """A new session; returns the cookie's value. Sessions that ended long ago are swept out."""
    cookie = new_secret()
    with state.begin() as db:
        db.execute(delete(Session).where(Session.expires < now - LONGEST))
        db.add(
            Session(
                id=hashed(cookie),
                person=person,
                csrf=new_secret(),
                created=now,
                seen=now,
                expires=now + LONGEST,
            )
        )
    return cookie


def resume(state: State, cookie: str, *, now: datetime, touch: bool = True) -> Signed | None:
    """Who the cookie is. `touch=False` for what a page does by itself: it must not keep a session alive."""
    if not cookie:
        return None
    with state.read() as db:
        row = db.get(Session, hashed(cookie))
        if row is None or row.ended is not None or now >= row.expires or now - row.seen >= IDLE:
            return None
        person = people.read(db, row.person)
        stale = now - row.seen >= TOUCH
        signed = Signed(row.id, row.csrf, person)
    if person.disabled is not None:
        return None
    if touch and stale:
        with state.begin() as db:
            db.execute(
                update(Session)
                .where(Session.id == signed.session, Session.ended.is_(None))
                .values(seen=now)
            )
    return signed


def end(state: State, signed: Signed, *, now: datetime) -> None:
    with state.begin() as db:
        db.execute(
            update(Session)
            .where(Session.id == signed.session, Session.ended.is_(None))
            .values(ended=now)
        )
        log.record(db, signed.actor.name, "sign_out", now=now)
