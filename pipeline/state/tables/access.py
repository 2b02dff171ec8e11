"""People, their agencies, and the secrets (hashed) by which they are known."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.state.base import Base


class Person(Base):
    """`role` is a key of the permission table. `password` is an argon2id string, empty before the first
    sign-in by link."""

    __tablename__ = "person"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str]
    role: Mapped[str] = mapped_column(String(16))
    language: Mapped[str] = mapped_column(String(8), default="vi")
    password: Mapped[str] = mapped_column(default="")
    disabled: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]
    created: Mapped[datetime]


class PersonAgency(Base):
    """The agencies a person may see; a role whose scope is everything needs none."""

    __tablename__ = "person_agency"

    person: Mapped[str] = mapped_column(ForeignKey("person.id"), primary_key=True)
    agency: Mapped[str] = mapped_column(ForeignKey("agency.id"), primary_key=True)


class Session(Base):
    """A signed-in browser. `id` is the hash of the cookie; `csrf` goes into forms."""

    __tablename__ = "session"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    csrf: Mapped[str] = mapped_column(String(64))
    created: Mapped[datetime]
    seen: Mapped[datetime]
    expires: Mapped[datetime]
    ended: Mapped[datetime | None]


class Link(Base):
    """A one-time sign-in link, spent by its form's POST. `id` is the hash of its secret."""

    __tablename__ = "link"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    created: Mapped[datetime]
    expires: Mapped[datetime]
    spent: Mapped[datetime | None]


class Token(Base):
    """A program's key to the API: `id` public, `hash` of the secret, never more than its person may."""

    __tablename__ = "token"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    name: Mapped[str]
    hash: Mapped[bytes]
    permissions: Mapped[list[str]]
    agencies: Mapped[list[str]]
    created: Mapped[datetime]
    expires: Mapped[datetime]
    revoked: Mapped[datetime | None]


class AccessLog(Base):
    """Sign-ins, refusals and changes of access, for the auditor."""

    __tablename__ = "access_log"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    what: Mapped[str] = mapped_column(String(32))
    detail: Mapped[str] = mapped_column(default="")
