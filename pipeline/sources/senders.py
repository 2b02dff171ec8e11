"""By what a source is told from others: keys, client certificates, address ranges; and who knocks unknown.

In: an actor and what a sender shows. Out: rows of the register. A key's secret is returned once, as ``id:secret``,
the form that shippers are given; only its hash is kept. Whatever is revoked is so at once and for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from collectors.receivers.certificates import registered_name
from collectors.receivers.keys import new_key
from pipeline.access import log
from pipeline.access.permissions import require
from pipeline.model.errors import ConflictError, NotFoundError
from pipeline.model.scope import Actor
from pipeline.sources.register import KEY_LIFE, get_source, network_of
from pipeline.state.state import State
from pipeline.state.tables.register import (
    Knock,
    Source,
    SourceAddress,
    SourceCertificate,
    SourceKey,
)


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


def new_source_key(state: State, actor: Actor, source: str, *, now: datetime) -> str:
    """A further key; the old ones go on until they are revoked, so that senders can change over."""
    get_source(state, actor, source, "source.write")
    key_id, secret, kept = new_key()
    with state.begin() as session:
        session.add(
            SourceKey(id=key_id, source=source, hash=kept, created=now, expires=now + KEY_LIFE)
        )
    return f"{key_id}:{secret}"


def revoke_source_key(state: State, actor: Actor, key: str, *, now: datetime) -> None:
    """At once and for good. `key` is the public id."""
    with state.begin() as session:
        row = session.get(SourceKey, key)
        if row is None:
            raise NotFoundError("no such key", got=key)
        owner = session.get_one(Source, row.source)
        require(actor, "source.write", owner.agency)
        row.revoked = row.revoked or now


def add_certificate(
    state: State, actor: Actor, source: str, certificate: str, *, now: datetime
) -> str:
    """Know the source by a client certificate's fingerprint or name; the form that is kept of it. A source
    may have several at a time, so that one can take over from another."""
    get_source(state, actor, source, "source.write")
    name = registered_name(certificate)
    with state.begin() as session:
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


def list_knocks(state: State, actor: Actor) -> list[Knock]:
    """Senders that nobody knows, the newest first. They are no agency's yet."""
    require(actor, "operation.read", None)
    with state.read() as session:
        return list(session.scalars(sa.select(Knock).order_by(Knock.last.desc(), Knock.id)))


def admit_knock(state: State, actor: Actor, knock: int, source: str, *, now: datetime) -> str:
    """From now on the unknown sender is the source's: by its address at that listener, or by its certificate.
    What it is known by is given back; what it sent before is lost."""
    require(actor, "operation.read", None)
    owner = get_source(state, actor, source, "source.write")
    with state.read() as session:
        row = session.get(Knock, knock)
    if row is None:
        raise NotFoundError("no such knock", got=str(knock), remedy="thapcanh source knocks")
    if row.address.startswith("sha256:"):
        known_by = add_certificate(state, actor, owner.id, row.address, now=now)
    else:
        known_by = _admit_address(state, actor, owner.id, row, now)
    with state.begin() as session:
        session.execute(sa.delete(Knock).where(Knock.id == knock))
    return known_by


def _admit_address(state: State, actor: Actor, source: str, knock: Knock, now: datetime) -> str:
    network = network_of(knock.address)
    known_by = f"{knock.listener}={network}"
    with state.begin() as session:
        same = sa.select(SourceAddress).where(
            SourceAddress.listener == knock.listener, SourceAddress.network == network
        )
        held = session.scalar(same)
        if held is not None and held.source != source:
            raise ConflictError("the address is another source's", where=known_by, got=held.source)
        if held is None:
            session.add(SourceAddress(source=source, listener=knock.listener, network=network))
            log.record(session, actor.name, "knock_admitted", f"{source}: {known_by}", now=now)
    return known_by
