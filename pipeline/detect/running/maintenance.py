"""When a schedule rests: paused by somebody, or within a declared span of maintenance.

In: rows of `schedule` and `maintenance`, a moment. Out: why no run starts now, empty where runs may.
Nothing is skipped by a rest: the cursor stays, the lag grows in sight, and the coverage shows what waits
as pending, with the reason.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.access.permissions import require
from pipeline.model.clock import for_people
from pipeline.model.errors import NotFoundError, UsageError
from pipeline.model.ids import new_id
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.detection import Maintenance, ScheduleRow

log = logging.getLogger(__name__)
LONGEST: Final = timedelta(days=7)


class Rest(msgspec.Struct, frozen=True):
    """A declared span. `schedule` empty: all of them."""

    id: str
    schedule: str
    starts: datetime
    ends: datetime
    reason: str
    by: str
    standing: str


def declare(
    state: State,
    actor: Actor,
    *,
    schedule: str = "",
    starts: datetime,
    ends: datetime,
    reason: str,
    now: datetime,
) -> str:
    """Let runs wait between the two times; its id."""
    require(actor, "rule.write", None)
    if not reason.strip():
        raise UsageError("maintenance needs a reason")
    if not max(starts, now) < ends <= starts + LONGEST:
        raise UsageError(
            "this is no span of maintenance", got=f"{for_people(starts)} to {for_people(ends)}",
            expected=f"an end still to come, within {LONGEST.days} days of its start",
        )  # fmt: skip
    id_ = new_id()
    with state.begin() as session:
        if schedule and session.get(ScheduleRow, schedule) is None:
            raise NotFoundError("no such schedule", got=schedule)
        session.add(
            Maintenance(
                id=id_, schedule=schedule, starts=starts, ends=ends, reason=reason.strip(),
                by=actor.name, declared=now, cancelled=None,
            )
        )  # fmt: skip
    log.warning("maintenance is declared", extra={"schedule": schedule or "all", "by": actor.name})
    return id_


def cancel(state: State, actor: Actor, id_: str, *, now: datetime) -> None:
    """Let runs start again at once."""
    require(actor, "rule.write", None)
    with state.begin() as session:
        row = session.get(Maintenance, id_)
        if row is None:
            raise NotFoundError("no such maintenance", got=id_)
        if row.cancelled is None and now < row.ends:
            row.cancelled = now


def list_rests(state: State, actor: Actor, *, now: datetime, limit: int = 50) -> list[Rest]:
    """The declared spans, the latest first."""
    require(actor, "run.read", None)
    with state.read() as session:
        rows = session.scalars(
            sa.select(Maintenance).order_by(Maintenance.starts.desc(), Maintenance.id).limit(limit)
        )
        return [
            Rest(r.id, r.schedule or "all", r.starts, r.ends, r.reason, r.by, _standing(r, now))
            for r in rows
        ]


def resting(session: Session, schedule: str, now: datetime) -> str:
    """Why no run of the schedule starts now; empty where it may."""
    row = session.get(ScheduleRow, schedule)
    if row is not None and row.paused:
        return f"paused, {row.paused}"
    found = session.scalar(
        sa.select(Maintenance)
        .where(
            Maintenance.schedule.in_(("", schedule)),
            Maintenance.starts <= now,
            Maintenance.ends > now,
            Maintenance.cancelled.is_(None),
        )
        .order_by(Maintenance.ends.desc())
        .limit(1)
    )
    if found is None:
        return ""
    return f"maintenance until {for_people(found.ends)}, {found.by}: {found.reason}"


def _standing(row: Maintenance, now: datetime) -> str:
    if row.cancelled is not None:
        return "cancelled"
    return "to come" if now < row.starts else "now" if now < row.ends else "over"
