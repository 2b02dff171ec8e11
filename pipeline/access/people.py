"""People: added, listed, disabled; their passwords, and the lock after wrong ones.

In: an actor, a person's id (``lan``, ``h.nguyen@hcm``), a role, agencies, and `now`.
Out: `Person` values; the state holds an argon2id string, never a password.
Invariants: nobody has a password before they set one; there is always one administrator who can
sign in; a guess is counted before it is checked, so that guesses in parallel gain nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session as Db

from pipeline.access import log
from pipeline.access.hashing import unknown_person
from pipeline.access.permissions import PEOPLE_ROLES, require
from pipeline.model.errors import ConflictError, UsageError
from pipeline.model.scope import Actor, Scope
from pipeline.state.state import State
from pipeline.state.tables.access import Link, PersonAgency, Session, Token
from pipeline.state.tables.access import Person as Row
from pipeline.state.tables.register import Agency

ID_FORM = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
LANGUAGES = ("vi", "en")
MAX_FAILURES = 5
LOCK_TIME = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Person:
    """Who can sign in. `agencies` empty: all of them, save for an officer, who then sees none."""

    id: str
    name: str
    role: str
    language: str
    agencies: tuple[str, ...]
    has_password: bool
    disabled: datetime | None
    locked_until: datetime | None
    created: datetime

    def actor(self) -> Actor:
        return actor(self.id, self.role, self.agencies)


def actor(person: str, role: str, agencies: Collection[str]) -> Actor:
    """What a person of this role may see: `agencies`, or all when there are none, save for an officer."""
    everything = not agencies and role != "officer"
    return Actor("person", person, role, Scope.everything() if everything else Scope.of(*agencies))


def add(
    state: State,
    actor: Actor,
    *,
    person: str,
    name: str,
    role: str,
    agencies: Collection[str] = (),
    language: str = "vi",
    now: datetime,
) -> Person:
    """A new person without a password: a link (`links.issue`) lets them in the first time."""
    require(actor, "person.write", None)
    if not ID_FORM.fullmatch(person):
        raise UsageError(
            "not an id for a person",
            got=repr(person),
            expected="small letters, digits, and . _ @ - after the first, 64 at most",
        )
    if role not in PEOPLE_ROLES:
        raise UsageError("no such role", got=role, expected=" or ".join(PEOPLE_ROLES))
    if language not in LANGUAGES:
        raise UsageError("no such language", got=language, expected=" or ".join(LANGUAGES))
    if not name.strip():
        raise UsageError("a person needs a name")
    if role == "officer" and not agencies:
        raise UsageError("an officer belongs to an agency", remedy="name at least one agency")
    with state.begin() as db:
        if db.get(Row, person) is not None:
            raise ConflictError("there is a person of this id", got=person)
        known = set(db.scalars(select(Agency.id).where(Agency.id.in_(agencies))))
        if missing := sorted(set(agencies) - known):
            raise UsageError(
                "no such agency", got=", ".join(missing), remedy="thapcanh agency list"
            )
        db.add(Row(id=person, name=name.strip(), role=role, language=language, created=now))
        db.flush()
        db.add_all(PersonAgency(person=person, agency=agency) for agency in sorted(set(agencies)))
        db.flush()
        log.record(db, actor.name, "person_added", f"{person} as {role}", now=now)
        return read(db, person)


def read(db: Db, person: str) -> Person:
    """The person, or NotFoundError. No permission is asked: for callers that know whom they serve."""
    row = db.get(Row, person)
    if row is None:
        raise unknown_person(person)
    held = select(PersonAgency.agency).where(PersonAgency.person == person)
    return _value(row, tuple(sorted(db.scalars(held))))


def list_people(state: State, actor: Actor) -> list[Person]:
    require(actor, "person.read", None)
    with state.read() as db:
        held: dict[str, list[str]] = {}
        for pair in db.scalars(select(PersonAgency).order_by(PersonAgency.agency)):
            held.setdefault(pair.person, []).append(pair.agency)
        rows = db.scalars(select(Row).order_by(Row.id))
        return [_value(row, tuple(held.get(row.id, ()))) for row in rows]


def disable(state: State, actor: Actor, person: str, *, now: datetime) -> Person:
    """Shut the person out now: sessions end, tokens and links die with it. Doing it twice is harmless."""
    require(actor, "person.write", None)
    with state.begin() as db:
        row = db.get(Row, person)
        if row is None:
            raise unknown_person(person)
        if row.disabled is None:
            if row.role == "administrator" and not _other_administrator(db, person):
                raise ConflictError(
                    "this is the last administrator", got=person, remedy="add another one first"
                )
            row.disabled = now
            _end_all(db, person, now)
            db.execute(
                update(Token)
                .where(Token.person == person, Token.revoked.is_(None))
                .values(revoked=now)
            )
            log.record(db, actor.name, "person_disabled", person, now=now)
        return read(db, person)


def set_language(state: State, person: str, language: str) -> None:
    if language not in LANGUAGES:
        raise UsageError("no such language", got=language, expected=" or ".join(LANGUAGES))
    with state.begin() as db:
        db.execute(update(Row).where(Row.id == person).values(language=language))


def set_password(
    state: State, person: str, password: str, *, keep_session: str = "", now: datetime
) -> None:
    """The person's own deed. Every other session of theirs ends; `keep_session` is the one in use."""
    from pipeline.access.passwords import check_strength, hash_password

    check_strength(password, person)
    made = hash_password(password)  # slow by design: before the transaction, not in it
    with state.begin() as db:
        row = db.get(Row, person)
        if row is None or row.disabled is not None:
            raise unknown_person(person)
        row.password, row.failures, row.locked_until = made, 0, None
        _end_all(db, person, now, but=keep_session)
        log.record(db, f"person:{person}", "password_set", now=now)


def check_password(state: State, person: str, password: str, *, now: datetime) -> Person | None:
    """The person, if id and password fit and neither is locked or disabled; None without saying which.

    Takes as long for a person who does not exist as for one who does.
    """
    from pipeline.access.passwords import NOBODY, verify

    with state.begin() as db:
        row = db.get(Row, person) if ID_FORM.fullmatch(person) else None
        locked = row is not None and row.locked_until is not None and row.locked_until > now
        if row is not None and not locked:
            if row.locked_until is not None:  # a lock that has run out gives a new set of tries
                row.failures, row.locked_until = 0, None
            row.failures += 1
            if row.failures >= MAX_FAILURES:
                row.locked_until = now + LOCK_TIME
        usable = row is not None and not locked and row.disabled is None and bool(row.password)
        kept = row.password if row is not None and usable else NOBODY
    fits = verify(kept, password) and usable
    with state.begin() as db:
        if not fits:
            why = "locked" if locked else "password"
            log.record(db, f"person:{person}", "sign_in_refused", why, now=now)
            return None
        db.execute(update(Row).where(Row.id == person).values(failures=0, locked_until=None))
        log.record(db, f"person:{person}", "sign_in", "password", now=now)
        return read(db, person)


def _other_administrator(db: Db, person: str) -> bool:
    others = select(Row.id).where(
        Row.role == "administrator", Row.id != person, Row.disabled.is_(None)
    )
    return db.scalar(others.limit(1)) is not None


def _end_all(db: Db, person: str, now: datetime, *, but: str = "") -> None:
    sessions = update(Session).where(Session.person == person, Session.ended.is_(None))
    db.execute(sessions.where(Session.id != but).values(ended=now))
    db.execute(delete(Link).where(Link.person == person, Link.spent.is_(None)))


def _value(row: Row, agencies: tuple[str, ...]) -> Person:
    return Person(
        id=row.id,
        name=row.name,
        role=row.role,
        language=row.language,
        agencies=agencies,
        has_password=bool(row.password),
        disabled=row.disabled,
        locked_until=row.locked_until,
        created=row.created,
    )
