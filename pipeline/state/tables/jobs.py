"""Long work that somebody asked for in the console: backtests and backfills."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.state.base import Base


class JobRow(Base):
    """`status`: waiting, running, done, failed, cancelled. `asked` are the arguments, `actor` who asked as the
    work acts, `tries` how often it was begun (the fence of who works on it), `alive` the last sign of life."""

    __tablename__ = "job"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(64), index=True)
    asked: Mapped[dict[str, Any]]
    actor: Mapped[dict[str, Any]]
    by: Mapped[str]
    at: Mapped[datetime]
    status: Mapped[str] = mapped_column(String(16), index=True)
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    tries: Mapped[int] = mapped_column(default=0)
    started: Mapped[datetime | None]
    alive: Mapped[datetime | None]
    ended: Mapped[datetime | None]
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[dict[str, Any]] = mapped_column(default=dict)
