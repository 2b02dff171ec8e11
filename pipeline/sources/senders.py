"""By what a source is told from others: keys, client certificates, address ranges.

In: an actor and what a sender shows. Out: rows of the register. A key's secret is returned once, as ``id:secret``,
the form that shippers are given; only its hash is kept. Whatever is revoked is so at once and for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from collectors.receivers.certificates import registered_name
from collectors.receivers.keys import new_key
from pipeline.access import log
from pipeline.access.permissions import require
from pipeline.model.clock import to_iso
from pipeline.model.errors import ConflictError, NotFoundError, UsageError
from pipeline.model.scope import Actor
from pipeline.sources.register import KEY_LIFE, get_source
from pipeline.state.state import State
from pipeline.state.tables.register import (
    Source,
    SourceAddress,
    SourceCertificate,
    SourceKey,
)

LONGEST_LIFE: Final = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Means:
    """By what a source is known: its keys (without secrets) and its `(listener, network)` ranges."""

    keys: tuple[KeyLine, ...]
    addresses: tuple[tuple[str, str], ...]
    certificates: tuple[CertificateLine, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateLine:
    """A client certificate by its name. `state`: valid or revoked."""

    name: str
    state: str
    created: datetime


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A key by its public id. `state`: valid, expired or revoked."""

    id: str
    state: str
    created: datetime
    expires: datetime | None


def means_of(state: State, actor: Actor, source: str, *, now: datetime) -> Means:
    """How the source is told from others; the newest key first."""
    get_source(state, actor, source)
    with state.read() as session:
        keys = session.scalars(
            sa.select(SourceKey)
            .where(SourceKey.source == source)
            .order_by(SourceKey.created.desc(), SourceKey.id)
        )
        addresses = session.execute(
            sa.select(SourceAddress.listener, SourceAddress.network)
            .where(SourceAddress.source == source)
            .order_by(SourceAddress.listener, SourceAddress.network)
        )
        certificates = session.scalars(
            sa.select(SourceCertificate)
            .where(SourceCertificate.source == source)
            .order_by(SourceCertificate.created.desc(), SourceCertificate.name)
        )
        return Means(
            tuple(_key_line(key, now) for key in keys),
            tuple((row.listener, row.network) for row in addresses),
            tuple(
                CertificateLine(one.name, "revoked" if one.revoked else "valid", one.created)
                for one in certificates
            ),
        )


def _key_line(key: SourceKey, now: datetime) -> KeyLine:
    expired = key.expires is not None and key.expires <= now
    standing = "revoked" if key.revoked else "expired" if expired else "valid"
    return KeyLine(key.id, standing, key.created, key.expires)


def new_source_key(
    state: State,
    actor: Actor,
    source: str,
    *,
    life: timedelta = KEY_LIFE,
    overlap: timedelta | None = None,
    now: datetime,
) -> str:
    """A further key that holds for `life`. The old ones go on, so that senders can change over: until they are
    revoked, or, where an `overlap` is given, until it has passed (none holds longer than it would have)."""
    get_source(state, actor, source, "source.write")
    if not timedelta() < life <= LONGEST_LIFE:
        raise UsageError(
            "a key holds for some time", got=f"{life.days} days", expected=f"1 to {LONGEST_LIFE.days} days"
        )  # fmt: skip
    if overlap is not None and not timedelta() <= overlap <= LONGEST_LIFE:
        raise UsageError("an overlap is a time to come", got=f"{overlap.days} days")
    key_id, secret, kept = new_key()
    with state.begin() as session:
        if overlap is not None:
            for old in session.scalars(
                sa.select(SourceKey).where(SourceKey.source == source, SourceKey.revoked.is_(None))
            ):
                old.expires = min(old.expires or now + overlap, now + overlap)
        session.add(SourceKey(id=key_id, source=source, hash=kept, created=now, expires=now + life))
        until = "" if overlap is None else f", the others end at {to_iso(now + overlap)}"
        log.record(session, actor.name, "key_made", f"{source}: {key_id}{until}", now=now)
    return f"{key_id}:{secret}"


def revoke_source_key(state: State, actor: Actor, key: str, *, now: datetime) -> None:
    """At once and for good. `key` is the public id."""
    with state.begin() as session:
        row = session.get(SourceKey, key)
        if row is None:
            raise NotFoundError("no such key", got=key)
        owner = session.get_one(Source, row.source)
        require(actor, "source.write", owner.agency)
        if row.revoked is None:
            row.revoked = now
            log.record(session, actor.name, "key_revoked", f"{row.source}: {key}", now=now)


def add_certificate(
    state: State, actor: Actor, source: str, certificate: str, *, now: datetime
) -> str:
    """Know the source by a client certificate's fingerprint or name; the form that is kept of it. A source
    may have several at a time, so that one can take over from another."""
    get_source(state, actor, source, "source.write")
    with state.begin() as session:
        return put_certificate(session, actor, source, certificate, now=now)


def put_certificate(
    session: Session, actor: Actor, source: str, certificate: str, *, now: datetime
) -> str:
    """As `add_certificate`, within the caller's transaction, whose actor may write the source."""
    name = registered_name(certificate)
    row = session.get(SourceCertificate, name, with_for_update=True)
    if row is not None and row.source != source and row.revoked is None:
        raise ConflictError("the certificate is another source's", got=name)
    if row is None:
        session.add(SourceCertificate(name=name, source=source, created=now))
    else:
        row.source, row.created, row.revoked = source, now, None
    log.record(session, actor.name, "certificate_added", f"{source}: {name}", now=now)
    return name


def revoke_certificate(state: State, actor: Actor, certificate: str, *, now: datetime) -> str:
    """At once: an open connection with it is cut within seconds."""
    name = registered_name(certificate)
    with state.begin() as session:
        row = session.get(SourceCertificate, name)
        if row is None:
            raise NotFoundError("no such certificate", got=name)
        owner = session.get_one(Source, row.source)
        require(actor, "source.write", owner.agency)
        row.revoked = row.revoked or now
        log.record(session, actor.name, "certificate_revoked", f"{row.source}: {name}", now=now)
    return name
