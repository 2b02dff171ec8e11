"""What goes with tickets to and from people: files that they attach, and notices that they are to have."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.state.base import Base, BigId


class Attachment(Base):
    """A file on a ticket. Its content lies in the home's folder under its SHA-256; `name` is what people call
    it, `kind` what its first bytes say. `gone`: when retention took the content; the row stays."""

    __tablename__ = "attachment"
    __table_args__ = (Index("ix_attachment_sha256", "sha256"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    ticket: Mapped[str] = mapped_column(ForeignKey("ticket.id"), index=True)
    sha256: Mapped[str] = mapped_column(String(64))
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(String(16))
    size: Mapped[int]
    by: Mapped[str] = mapped_column(String(96))
    at: Mapped[datetime]
    gone: Mapped[datetime | None]


class Notice(Base):
    """One person is to hear of one cause, once. `mail`: none, waiting, sent, dead; nobody else sends it
    before `mail_due`. `seen`: when they looked at it."""

    __tablename__ = "notice"
    __table_args__ = (
        UniqueConstraint("person", "cause"),
        Index("ix_notice_person_seen", "person", "seen"),
        Index("ix_notice_mail_mail_due", "mail", "mail_due"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("person.id"))
    cause: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    ticket: Mapped[str] = mapped_column(ForeignKey("ticket.id"), index=True)
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    at: Mapped[datetime] = mapped_column(index=True)
    page: Mapped[bool] = mapped_column(default=True)
    seen: Mapped[datetime | None]
    mail: Mapped[str] = mapped_column(String(8), default="none")
    mail_due: Mapped[datetime | None]
    mail_tries: Mapped[int] = mapped_column(default=0)


class NoticeWish(Base):
    """What a person wants to hear, and how: `ways` maps a kind of notice to none, page, mail or both; kinds
    that are not in it go the usual way. `on_duty`: they say that they are."""

    __tablename__ = "notice_wish"

    person: Mapped[str] = mapped_column(ForeignKey("person.id"), primary_key=True)
    on_duty: Mapped[bool] = mapped_column(default=False)
    mail: Mapped[str] = mapped_column(String(254), default="")
    ways: Mapped[dict[str, Any]] = mapped_column(default=dict)
