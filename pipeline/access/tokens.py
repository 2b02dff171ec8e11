"""Tokens: a program's key to the API, scoped, never more than the person it acts for.

In: ``Authorization: Bearer tct_4f2a9c…_Jx…``. Out: an `Actor` of kind *token*, or None.
Form: ``tct_`` + 16 hex digits (public, names the row) + ``_`` + 43 characters (secret, kept as a hash).
Invariant: what a token may do is what it was given *and* what its person may do now; a person who loses
an agency, a role or their place takes it from their tokens at once.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from pipeline.access import log, people
from pipeline.access.hashing import hashed, new_secret, same
from pipeline.access.permissions import may, permissions_of, require
from pipeline.model.errors import ForbiddenError, NotFoundError, UsageError
from pipeline.model.scope import Actor, Scope
from pipeline.state.state import State
from pipeline.state.tables.access import Person, PersonAgency
from pipeline.state.tables.access import Token as Row

FORM = re.compile(r"tct_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
LONGEST = timedelta(days=366)
_HELD = (
    select(
        Row.id, Row.person, Row.hash, Row.permissions, Row.agencies, Row.expires, Row.revoked,
        Person.role, Person.disabled, PersonAgency.agency,
    )
    .join(Person, Person.id == Row.person)
    .outerjoin(PersonAgency, PersonAgency.person == Row.person)
    .where(Row.id.in_(bindparam("tokens", expanding=True)))
)  # fmt: skip
"""Tokens with what their persons may now, a row for each agency of theirs: one statement, since each request asks."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret. `agencies` empty: all that its person may see."""

    id: str
    person: str
    name: str
    permissions: tuple[str, ...]
    agencies: tuple[str, ...]
    created: datetime
    expires: datetime
    revoked: datetime | None


def issue(
    state: State,
    actor: Actor,
    *,
    person: str,
    name: str,
    permissions: Collection[str],
    agencies: Collection[str] = (),
    expires: datetime,
    now: datetime,
) -> str:
    """The token's text, shown once. For oneself, or (with person.write) for another."""
    with state.begin() as db:
        return issue_in(
            db, actor, person=person, name=name, permissions=permissions, agencies=agencies,
            expires=expires, now=now,
        )  # fmt: skip


def issue_in(
    db: Session,
    actor: Actor,
    *,
    person: str,
    name: str,
    permissions: Collection[str],
    agencies: Collection[str] = (),
    expires: datetime,
    now: datetime,
) -> str:
    """The same within a transaction of the caller's."""
    _require_over(actor, person)
    if actor.kind == "token":
        raise ForbiddenError("a token cannot issue tokens")
    if not permissions:
        raise UsageError("a token needs at least one permission")
    if not now < expires <= now + LONGEST:
        raise UsageError("a token lives up to a year", got=expires.isoformat())
    secret, public = new_secret(), secrets.token_hex(8)
    owner = people.read(db, person)
    if owner.disabled is not None:
        raise ForbiddenError("this person is disabled", got=person)
    rights = permissions_of(owner.role)
    if over := sorted(set(permissions) - rights):
        raise ForbiddenError(
            "a token has no more than its person",
            got=", ".join(over),
            expected=", ".join(sorted(rights)),
        )
    if over := sorted(a for a in set(agencies) if not owner.actor().scope.allows(a)):
        raise ForbiddenError("a token sees no more than its person", got=", ".join(over))
    if not actor.scope.covers(Scope.of(*agencies) if agencies else owner.actor().scope):
        raise ForbiddenError("a token sees no more than who issues it", got=person)
    db.add(
        Row(
            id=public,
            person=person,
            name=name.strip() or public,
            hash=bytes.fromhex(hashed(secret)),
            permissions=sorted(set(permissions)),
            agencies=sorted(set(agencies)),
            created=now,
            expires=expires,
        )
    )
    log.record(db, actor.name, "token_issued", f"{public} for {person}", now=now)
    return f"tct_{public}_{secret}"


def resolve(state: State, text: str, *, now: datetime) -> Actor | None:
    """Who a token acts as; None if it is not one, is revoked, too old, or its person disabled."""
    return resolve_all(state, [text], now=now)[0]


def resolve_all(state: State, texts: Sequence[str], *, now: datetime) -> list[Actor | None]:
    """The same of many at once."""
    forms = [FORM.fullmatch(text) for text in texts]
    held = dict[str, list[Any]]()
    if ids := sorted({form[1] for form in forms if form}):
        with state.read() as db:
            for row in db.execute(_HELD, {"tokens": ids}):
                held.setdefault(row.id, []).append(row)
    return [_actor(held.get(form[1], []), form[2], now) if form else None for form in forms]


def _actor(found: list[Any], secret: str, now: datetime) -> Actor | None:
    if not found or not same(found[0].hash.hex(), hashed(secret)):
        return None
    row = found[0]
    if row.revoked is not None or now >= row.expires or row.disabled is not None:
        return None
    held = people.actor(row.person, row.role, [one.agency for one in found if one.agency]).scope
    scope = Scope.of(*filter(held.allows, row.agencies)) if row.agencies else held
    return Actor("token", row.id, row.role, scope, frozenset(row.permissions))


def revoke(state: State, actor: Actor, token: str, *, now: datetime) -> Token:
    """At once and for good; doing it twice is harmless."""
    with state.begin() as db:
        row = db.get(Row, token)
        if row is None:
            raise NotFoundError("no such token", got=token)
        _require_over(actor, row.person)
        if row.revoked is None:
            row.revoked = now
            log.record(db, actor.name, "token_revoked", token, now=now)
        return _value(row)


def list_tokens(state: State, actor: Actor) -> list[Token]:
    """All of them for who may read people, else one's own."""
    chosen = select(Row).order_by(Row.created)
    if not may(actor, "person.read"):
        require(actor, "token.issue", None)
        chosen = chosen.where(Row.person == actor.id)
    with state.read() as db:
        return [_value(row) for row in db.scalars(chosen)]


def _require_over(actor: Actor, person: str) -> None:
    require(actor, "token.issue", None)
    if (actor.kind, actor.id) != ("person", person):
        require(actor, "person.write", None)


def _value(row: Row) -> Token:
    return Token(
        id=row.id,
        person=row.person,
        name=row.name,
        permissions=tuple(row.permissions),
        agencies=tuple(row.agencies),
        created=row.created,
        expires=row.expires,
        revoked=row.revoked,
    )
