"""The installation itself, the pulse of its roles, and its alarms."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.state.base import Base


class Meta(Base):
    """Facts of the installation by name: its id, the rehearsal's seed and start …"""

    __tablename__ = "meta"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[dict[str, Any]]


class Counter(Base):
    """Gap-free numbers by name (tickets, findings): taken inside the transaction that uses them."""

    __tablename__ = "counter"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[int]


class Pulse(Base):
    """A role's last sign of life and of progress. `detail` is the role's own figures."""

    __tablename__ = "pulse"

    role: Mapped[str] = mapped_column(String(32), primary_key=True)
    node: Mapped[str] = mapped_column(String(64), primary_key=True)
    pid: Mapped[int]
    started: Mapped[datetime]
    beat: Mapped[datetime]
    progress: Mapped[datetime]
    waiting: Mapped[int] = mapped_column(default=0)
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Alarm(Base):
    """Something is wrong with the pipeline itself. One open row per key.

    `mailed` is what was said of it by mail: nothing, `opened` or `closed`; nobody else sends before `mail_due`.
    """

    __tablename__ = "alarm"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    key: Mapped[str] = mapped_column(String(96), index=True)
    message: Mapped[str]
    opened: Mapped[datetime]
    seen: Mapped[datetime]
    closed: Mapped[datetime | None]
    mailed: Mapped[str] = mapped_column(String(8), default="")
    mail_due: Mapped[datetime | None]
    mail_tries: Mapped[int] = mapped_column(default=0)


class Disposal(Base):
    """Events that retention deleted: whose, those received before when, how many, why, by whom.

    `reason`: age, drill, disk, lost (a damaged file was given up). `events` is None while the deletion is
    under way, or was cut off.
    """

    __tablename__ = "disposal"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    agency: Mapped[str] = mapped_column(String(64), index=True)
    before: Mapped[datetime]
    reason: Mapped[str] = mapped_column(String(16))
    by: Mapped[str]
    at: Mapped[datetime] = mapped_column(index=True)
    events: Mapped[int | None]
