"""The agency register: who sends, what they run, and how we know it is them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.state.base import Base, BigId


class Agency(Base):
    """A department, ward, commune or city company; `soc` is the centre itself.

    `drill` marks a rehearsal's agency: never in mirrors, legal clocks or statistics.
    `level` is the highest system level (1-5) of the agency, 0 where none is recorded. `assets` is a hash of
    what it has in `asset`.
    """

    __tablename__ = "agency"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name_vi: Mapped[str]
    name_en: Mapped[str]
    kind: Mapped[str] = mapped_column(String(32), default="")
    level: Mapped[int] = mapped_column(default=0)
    assets: Mapped[str] = mapped_column(String(32), default="")
    drill: Mapped[bool] = mapped_column(default=False)
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]


class Source(Base):
    """One configured log source of one agency. `state`: draft, published, paused, retired.

    `options` holds the parser's options (named ones only: see the product's schema), and under `health` the
    thresholds that are the source's own. `revision` counts its changes.
    """

    __tablename__ = "source"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    agency: Mapped[str] = mapped_column(ForeignKey("agency.id"), index=True)
    product: Mapped[str] = mapped_column(String(64))
    name: Mapped[str]
    state: Mapped[str] = mapped_column(String(16), default="published")
    timezone: Mapped[str] = mapped_column(String(64), default="")
    encoding: Mapped[str] = mapped_column(String(32), default="")
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    revision: Mapped[int] = mapped_column(default=1)
    created: Mapped[datetime]


class SourceDraft(Base):
    """A source that is being onboarded: sample lines as they came, and what was chosen so far. Gone when it is
    published, dropped, or left alone for long."""

    __tablename__ = "source_draft"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    agency: Mapped[str] = mapped_column(ForeignKey("agency.id"), index=True)
    by: Mapped[str] = mapped_column(String(128))
    created: Mapped[datetime]
    changed: Mapped[datetime]
    revision: Mapped[int] = mapped_column(default=1)
    samples: Mapped[bytes]
    chosen: Mapped[dict[str, Any]] = mapped_column(default=dict)


class SourceAddress(Base):
    """Weak identity: records that reach `listener` from an address in `network` (CIDR) are the source's."""

    __tablename__ = "source_address"
    __table_args__ = (UniqueConstraint("listener", "network"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    source: Mapped[str] = mapped_column(ForeignKey("source.id"), index=True)
    listener: Mapped[str] = mapped_column(String(64))
    network: Mapped[str] = mapped_column(String(64))


class SourceKey(Base):
    """Strong identity: a random key, only its hash kept. `id` is public, the key's first half."""

    __tablename__ = "source_key"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    source: Mapped[str] = mapped_column(ForeignKey("source.id"), index=True)
    hash: Mapped[bytes]
    created: Mapped[datetime]
    expires: Mapped[datetime | None]
    revoked: Mapped[datetime | None]


class SourceCertificate(Base):
    """Strong identity: the client certificate of that name (`sha256:…` or `san:…`) is the source's. A revoked
    one stays, so that it is refused by name."""

    __tablename__ = "source_certificate"

    name: Mapped[str] = mapped_column(String(260), primary_key=True)
    source: Mapped[str] = mapped_column(ForeignKey("source.id"), index=True)
    created: Mapped[datetime]
    revoked: Mapped[datetime | None]


class Knock(Base):
    """An unknown sender, refused and counted; an operator can turn it into a source, or ignore it.

    `known_by`: what such a sender would be known by: address, certificate, key, or settings (a file input names
    the source in `address`). `size` is the most bytes that it sent at a time, where that is seen before it is
    refused; of what it sent nothing is kept."""

    __tablename__ = "knock"
    __table_args__ = (UniqueConstraint("listener", "address"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    listener: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(80))  # or a certificate: sha256:…
    known_by: Mapped[str] = mapped_column(String(16), default="address")
    first: Mapped[datetime]
    last: Mapped[datetime] = mapped_column(index=True)
    count: Mapped[int] = mapped_column(default=0)
    size: Mapped[int] = mapped_column(default=0)
    ignored: Mapped[datetime | None]


class Outage(Base):
    """From `begun` to `ended` records of a source may be lost: the collector was not there and the sender does not
    wait for an answer (`cause` killed or stopped), or an API no longer had what it had announced or was not asked
    in time (expired, missed). `lost` counts what is known to be (pieces of content), 0 where nobody can count."""

    __tablename__ = "outage"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    node: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(64), index=True)
    begun: Mapped[datetime]
    ended: Mapped[datetime] = mapped_column(index=True)
    cause: Mapped[str] = mapped_column(String(16))
    lost: Mapped[int] = mapped_column(default=0)


class SourceSeen(Base):
    """What collectors and the normaliser saw of a source, per node; counters only grow.

    `counters`: received, acknowledged, bytes, dropped by reason. Times are of the newest record.
    """

    __tablename__ = "source_seen"
    __table_args__ = (Index("ix_source_seen_source_node", "source", "node", unique=True),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    source: Mapped[str] = mapped_column(String(64))
    node: Mapped[str] = mapped_column(String(64))
    last_received: Mapped[datetime | None]
    last_event: Mapped[datetime | None]
    counters: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Asset(Base):
    """What an agency owns and how much hangs on it. `kind`: address (an address or a range), host, user;
    `pattern` may hold ``*`` for a host or a user. `criticality` from 1 to 5."""

    __tablename__ = "asset"
    __table_args__ = (UniqueConstraint("agency", "kind", "pattern"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    agency: Mapped[str] = mapped_column(ForeignKey("agency.id"))
    kind: Mapped[str] = mapped_column(String(8))
    pattern: Mapped[str] = mapped_column(String(255))
    name: Mapped[str]
    system: Mapped[str] = mapped_column(default="")
    criticality: Mapped[int]


class SourceHour(Base):
    """What a source sent in one hour of the clock: the rhythm that its silence is measured against.

    `received` and `repeated` as its collectors counted, `failures` records that could not be read, `late`
    seconds that its newest event was old when it came, at the most.
    """

    __tablename__ = "source_hour"
    __table_args__ = (Index("ix_source_hour_hour", "hour"),)

    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    received: Mapped[int] = mapped_column(default=0)
    repeated: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    late: Mapped[int] = mapped_column(default=0)


class SourceWatch(Base):
    """How far the counters of a source have been read, and which of its conditions have a ticket.

    `counted`: counter → value at the last look; `open`: condition → ticket; `since`: condition → when it was
    first seen.
    """

    __tablename__ = "source_watch"

    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime]
    counted: Mapped[dict[str, Any]] = mapped_column(default=dict)
    open: Mapped[dict[str, Any]] = mapped_column(default=dict)
    since: Mapped[dict[str, Any]] = mapped_column(default=dict)
