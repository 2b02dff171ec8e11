"""The access log: sign-ins, refusals and changes of access, for the auditor. Only ever added to.

A row as it reads: ``person:lan  sign_in  password``, ``person:lan  sign_in_refused  locked``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from pipeline.access.permissions import require
from pipeline.model.ids import new_id
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.access import AccessLog


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log."""

    at: datetime
    actor: str
    what: str
    detail: str


def record(db: Db, actor: str, what: str, detail: str = "", *, now: datetime) -> None:
    """Add a line within the caller's transaction, so that a deed and its line stand or fall together."""
    db.add(AccessLog(id=new_id(), at=now, actor=actor[:128], what=what, detail=detail[:512]))


def recent(state: State, actor: Actor, *, limit: int = 200) -> list[Entry]:
    """The newest lines first."""
    require(actor, "access.read", None)
    with state.read() as db:
        rows = db.scalars(select(AccessLog).order_by(AccessLog.id.desc()).limit(limit))
        return [Entry(row.at, row.actor, row.what, row.detail) for row in rows]
