"""The queue: tickets, the findings they hold, their append-only history, and the outbox."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, validates

from pipeline.model.fold import fold_letters
from pipeline.state.base import Base, BigId


class Ticket(Base):
    """A work item. `number` is what people say; `revision` is what a writer must have seen.

    Title, `rule` and severity are those of its severest finding, the entity is written as it was first
    seen; `findings` and `rules` say how many it holds. `kind`: detection, storm (findings of one rule
    at one agency beyond a rate), health. `apart`: taken out of another by hand, so that grouping joins
    it to none again. `severity_by` is who set the severity by hand, empty where its findings say it.
    `asset` is the name of the agency's asset that the entity is, `criticality` how much hangs on it (0: none
    is known). `signs` are what people have seen of the incident (keys of the policy packs: serious, …); `checks`
    maps done steps of the checklist to who did them. `due`, `due_what` and `alert` (warned, breached)
    are of its most pressing clock.
    """

    __tablename__ = "ticket"
    __table_args__ = (
        Index(
            "ix_ticket_open_priority_number",  # the queue: most of its pages are open tickets
            "priority",
            "number",
            "sought",  # so that words are sought without reading the tickets
            sqlite_where=text("closed IS NULL"),
            postgresql_where=text("closed IS NULL"),
        ),
        Index(
            "ix_ticket_open_facets",  # what the tabs of the queue count, without reading the tickets
            "agency",
            "drill",
            "owner",
            "status",
            "alert",
            "severity_rank",
            "closed",  # always null here: without it SQLite would read the tickets after all
            sqlite_where=text("closed IS NULL"),
            postgresql_where=text("closed IS NULL"),
        ),
        Index("ix_ticket_priority_number", "priority", "number"),
        Index("ix_ticket_owner_until", "owner_until"),
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
    sought: Mapped[str] = mapped_column(default="")  # title and entity, without case and marks
    severity: Mapped[str] = mapped_column(String(16))
    severity_rank: Mapped[int]
    severity_by: Mapped[str] = mapped_column(String(96), default="")
    priority: Mapped[int] = mapped_column(default=0)
    asset: Mapped[str] = mapped_column(default="")
    criticality: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(String(64), default="")
    owner_until: Mapped[datetime | None]
    waiting_for: Mapped[str] = mapped_column(String(16), default="")
    tlp: Mapped[str] = mapped_column(String(16), default="amber")
    signs: Mapped[list[str]] = mapped_column(default=list)
    checks: Mapped[dict[str, Any]] = mapped_column(default=dict)
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
    claimed: Mapped[datetime | None]  # for the first time
    changed: Mapped[datetime]
    closed: Mapped[datetime | None]
    due: Mapped[datetime | None]
    due_what: Mapped[str] = mapped_column(String(32), default="")
    alert: Mapped[str] = mapped_column(String(16), default="")
    revision: Mapped[int] = mapped_column(default=1)

    @validates("title", "entity")
    def _seek(self, name: str, value: str) -> str:
        """Whoever names a ticket anew makes it be found anew."""
        parts = {"title": self.title, "entity": self.entity} | {name: value}
        self.sought = sought_text(parts["title"] or "", parts["entity"] or "")
        return value


def sought_text(title: str, entity: str) -> str:
    """The beginnings of both: an index holds them, and PostgreSQL's takes 2,700 bytes."""
    return f"{fold_letters(title)[:200]}\n{fold_letters(entity)[:200]}"


class TicketFinding(Base):
    """A finding is in exactly one ticket: the finding is the key. What grouping asks of it stands here too.

    `ticket` is where it counts now, `home` the ticket that took it in (another, once that was merged).
    `opener`: it needed a ticket of its own, or would have, had there been no storm. `gone`: absorbed by
    another finding, or left without events; it counts no more. `undone`: how many events it has lost, as
    far as the history says.
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
    undone: Mapped[int] = mapped_column(default=0)
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


class TicketTag(Base):
    """A word that people have put on a ticket."""

    __tablename__ = "ticket_tag"
    __table_args__ = (Index("ix_ticket_tag_tag", "tag"),)

    ticket: Mapped[str] = mapped_column(ForeignKey("ticket.id"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(40), primary_key=True)


class TicketClock(Base):
    """A time by which something must be done. `kind`: service or legal; `state`: running, paused, met,
    breached (and still running), missed (met or ended too late), void.

    Working or plain seconds: `budget` in all, `spent` before `since`. `next` is when the clock has
    something to say (a warning, then the breach), None once it has said all.
    """

    __tablename__ = "ticket_clock"
    __table_args__ = (UniqueConstraint("ticket", "key"), Index("ix_ticket_clock_next", "next"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    ticket: Mapped[str] = mapped_column(ForeignKey("ticket.id"))
    key: Mapped[str] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(16))
    pack: Mapped[str] = mapped_column(String(64))
    working: Mapped[bool] = mapped_column(default=False)
    began: Mapped[datetime]
    budget: Mapped[int]
    spent: Mapped[int] = mapped_column(default=0)
    since: Mapped[datetime | None]
    due: Mapped[datetime | None]
    next: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(String(16))
    warned: Mapped[bool] = mapped_column(default=False)
    ended: Mapped[datetime | None]


class RulePrecision(Base):
    """Verdicts of closed tickets by rule and agency (empty: of all agencies): `hits` were right, `misses` were not.
    Drills are left out."""

    __tablename__ = "rule_precision"

    rule: Mapped[str] = mapped_column(String(64), primary_key=True)
    agency: Mapped[str] = mapped_column(String(64), primary_key=True, default="")
    hits: Mapped[int] = mapped_column(default=0)
    misses: Mapped[int] = mapped_column(default=0)
    at: Mapped[datetime]


class HandOver(Base):
    """What one shift tells the next. `tickets` are numbers."""

    __tablename__ = "hand_over"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    by: Mapped[str] = mapped_column(String(96))
    at: Mapped[datetime] = mapped_column(index=True)
    text: Mapped[str] = mapped_column(Text)
    tickets: Mapped[list[Any]] = mapped_column(default=list)


class SavedView(Base):
    """A person's name for the filters of the queue."""

    __tablename__ = "saved_view"

    person: Mapped[str] = mapped_column(String(96), primary_key=True)
    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    query: Mapped[str]
    made: Mapped[datetime]


class Deed(Base):
    """The answer to a write by its Idempotency-Key, so that a repeat gets the same answer."""

    __tablename__ = "deed"

    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    actor: Mapped[str] = mapped_column(String(96), primary_key=True)
    request: Mapped[str] = mapped_column(String(32))
    answer: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class Outbox(Base):
    """What outside systems are to be told, in order per ticket and mirror.

    `state`: waiting, sending (begun, and not yet recorded: unknown once `due` is past), unknown (perhaps
    done: looked up before it is sent again), sent, skipped (a filter keeps it here), dead. `key` names the
    deed at the mirror. `due` is when to try again, or until when a sending one may be at it.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_mirror_state_due", "mirror", "state", "due"),
        Index("ix_outbox_ticket_mirror_id", "ticket", "mirror", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    ticket: Mapped[str] = mapped_column(ForeignKey("ticket.id"))
    mirror: Mapped[str] = mapped_column(String(64))
    what: Mapped[str] = mapped_column(String(16))
    key: Mapped[str] = mapped_column(String(64), default="")
    body: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    tries: Mapped[int] = mapped_column(default=0)
    made: Mapped[datetime]
    due: Mapped[datetime]
    error: Mapped[str] = mapped_column(default="")


class MirrorLink(Base):
    """A ticket's counterpart at a mirror: `remote` is its name there, `url` where people see it."""

    __tablename__ = "mirror_link"

    ticket: Mapped[str] = mapped_column(ForeignKey("ticket.id"), primary_key=True)
    mirror: Mapped[str] = mapped_column(String(64), primary_key=True)
    remote: Mapped[str] = mapped_column(String(128))
    url: Mapped[str] = mapped_column(default="")
    made: Mapped[datetime]


class MirrorSeen(Base):
    """A change over there that has come back as a comment: never twice."""

    __tablename__ = "mirror_seen"

    mirror: Mapped[str] = mapped_column(String(64), primary_key=True)
    change: Mapped[str] = mapped_column(String(128), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)


class MirrorState(Base):
    """How a mirror is: up to where its changes are read, since when it fails (None: it does not), and why."""

    __tablename__ = "mirror_state"

    mirror: Mapped[str] = mapped_column(String(64), primary_key=True)
    cursor: Mapped[str] = mapped_column(default="")
    failing: Mapped[datetime | None]
    error: Mapped[str] = mapped_column(default="")
    reached: Mapped[datetime | None]
