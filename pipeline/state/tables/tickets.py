"""The queue: tickets, the findings they hold, their append-only history, and the outbox."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.state.base import Base, BigId


class Ticket(Base):
    """A work item. `number` is what people say; `revision` is what a writer must have seen.

    Title, `rule` and severity are those of its severest finding, the entity is written as it was first
    seen; `findings` and `rules` say how many it holds. `kind`: detection, storm (findings of one rule
    at one agency beyond a rate), health. `apart`: taken out of another by hand, so that grouping joins
    it to none again.
    """

    __tablename__ = "ticket"
    __table_args__ = (
        Index(
            "ix_ticket_open_severity_rank_number",  # the queue: most of its pages are open tickets
            "severity_rank",
            "number",
            sqlite_where=text("closed IS NULL"),
            postgresql_where=text("closed IS NULL"),
        ),
        Index("ix_ticket_severity_rank_number", "severity_rank", "number"),
        Index("ix_ticket_agency_entity_key", "agency", "entity_key"),
        Index("ix_ticket_follows", "follows"),
        Index("ix_ticket_duplicate_of", "duplicate_of"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    kind: Mapped[str] = mapped_column(String(16), default="detection")
    agency: Mapped[str] = mapped_column(String(64), index=True)
    drill: Mapped[bool] = mapped_column(default=False)
    rule: Mapped[str] = mapped_column(String(64), default="")
    title: Mapped[str]
    entity: Mapped[str] = mapped_column(default="")
    entity_key: Mapped[str] = mapped_column(String(32), default="")
    severity: Mapped[str] = mapped_column(String(16))
    severity_rank: Mapped[int]
    status: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(String(64), default="")
    owner_until: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(String(32), default="")
    duplicate_of: Mapped[str] = mapped_column(String(32), default="")
    follows: Mapped[str] = mapped_column(String(32), default="")
    first: Mapped[datetime]
    last: Mapped[datetime]
    events: Mapped[int]
    findings: Mapped[int] = mapped_column(default=0)
    rules: Mapped[int] = mapped_column(default=0)
    apart: Mapped[bool] = mapped_column(default=False)
    opened: Mapped[datetime]
    changed: Mapped[datetime]
    closed: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(default=1)


class TicketFinding(Base):
    """A finding is in exactly one ticket: the finding is the key. What grouping asks of it stands here too.

    `ticket` is where it counts now, `home` the ticket that took it in (another, once that was merged).
    `opener`: it needed a ticket of its own, or would have, had there been no storm. `gone`: absorbed by
    another finding, or left without events; it counts no more.
    """

    __tablename__ = "ticket_finding"
    __table_args__ = (
        Index("ix_ticket_finding_agency_entity_key_last", "agency", "entity_key", "last"),
        Index("ix_ticket_finding_agency_rule_created", "agency", "rule", "created"),
    )

    finding: Mapped[str] = mapped_column(String(32), primary_key=True)
    ticket: Mapped[str] = mapped_column(ForeignKey("ticket.id"), index=True)
    home: Mapped[str] = mapped_column(ForeignKey("ticket.id"), index=True)
    agency: Mapped[str] = mapped_column(String(64))
    rule: Mapped[str] = mapped_column(String(64))
    entity_key: Mapped[str] = mapped_column(String(32))
    rank: Mapped[int]
    first: Mapped[datetime]
    last: Mapped[datetime]
    events: Mapped[int]
    created: Mapped[datetime]
    opener: Mapped[bool] = mapped_column(default=False)
    gone: Mapped[bool] = mapped_column(default=False)
    added: Mapped[datetime]


class TicketHistory(Base):
    """What happened to a ticket, in order; never changed, never removed.

    `what`: opened, amended, claimed, released, assigned, commented, waiting, closed, reopened, linked, unlinked …
    """

    __tablename__ = "ticket_history"
    __table_args__ = (UniqueConstraint("ticket", "place"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    ticket: Mapped[str] = mapped_column(ForeignKey("ticket.id"))
    place: Mapped[int]
    what: Mapped[str] = mapped_column(String(16))
    by: Mapped[str]
    at: Mapped[datetime]
    text: Mapped[str] = mapped_column(Text, default="")
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Deed(Base):
    """The answer to a write by its Idempotency-Key, so that a repeat gets the same answer."""

    __tablename__ = "deed"

    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    actor: Mapped[str] = mapped_column(String(96), primary_key=True)
    request: Mapped[str] = mapped_column(String(32))
    answer: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class Outbox(Base):
    """What outside systems are to be told, in order per ticket. `state`: waiting, sent, dead."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_state_due", "state", "due"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    ticket: Mapped[str] = mapped_column(ForeignKey("ticket.id"), index=True)
    mirror: Mapped[str] = mapped_column(String(64))
    what: Mapped[str] = mapped_column(String(16))
    body: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    tries: Mapped[int] = mapped_column(default=0)
    due: Mapped[datetime]
    error: Mapped[str] = mapped_column(default="")
