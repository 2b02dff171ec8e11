"""Detection runs, how far they have come, and what they have covered.

In: an actor. Out: the newest runs, the lag of each schedule, coverage by agency and rule set. Who is
held to some agencies sees that runs were made, and coverage of those agencies alone: no sequence, and
no count that holds others' events.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import select

from pipeline.access.agencies import Agency, agencies, unknown
from pipeline.access.permissions import require, scope_for
from pipeline.model.clock import from_micros
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.detection import Coverage, Cursor, Run, ScheduleRow
from pipeline.state.tables.intake import Settlement
from pipeline.state.tables.operation import Alarm, Pulse


@dataclass(frozen=True, slots=True)
class RunLine:
    """`events` and `matches` are None where they would tell of other agencies."""

    id: str
    schedule: str
    kind: str
    status: str
    started: datetime
    took: timedelta | None
    rules: int
    ruleset: str
    events: int | None
    matches: int | None
    error: str


@dataclass(frozen=True, slots=True)
class Lag:
    """Receipts of a node that a schedule has not evaluated yet."""

    schedule: str
    node: str
    watermark: int
    position: int
    paused: str

    @property
    def behind(self) -> int:
        return max(0, self.watermark - self.position)


@dataclass(frozen=True, slots=True)
class Covered:
    """An agency's events that a rule set has been evaluated over, and the span of their times."""

    agency: Agency
    ruleset: str
    events: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class RoleLine:
    """A role's pulse."""

    role: str
    node: str
    started: datetime
    beat: datetime
    progress: datetime
    waiting: int


@dataclass(frozen=True, slots=True)
class AlarmLine:
    """An open alarm of the pipeline itself."""

    key: str
    message: str
    opened: datetime
    seen: datetime


def run_lines(state: State, actor: Actor, *, limit: int = 50) -> list[RunLine]:
    whole = scope_for(actor, "run.read").agencies is None
    with state.read() as db:
        rows = db.scalars(select(Run).order_by(Run.started.desc(), Run.id.desc()).limit(limit))
        return [
            RunLine(
                id=row.id,
                schedule=row.schedule,
                kind=row.kind,
                status=row.status,
                started=row.started,
                took=row.ended - row.started if row.ended else None,
                rules=row.rules,
                ruleset=row.ruleset,
                events=row.events if whole else None,
                matches=row.matches if whole else None,
                error=row.error if whole else "",
            )
            for row in rows
        ]


def lags(state: State, actor: Actor) -> list[Lag]:
    require(actor, "operation.read", None)
    if scope_for(actor, "run.read").agencies is not None:
        return []  # sequences are never shown to an agency
    with state.read() as db:
        marks = {
            row[0]: row[1]
            for row in db.execute(
                select(Settlement.node, sa.func.max(Settlement.last)).group_by(Settlement.node)
            )
        }
        schedules = list(db.scalars(select(ScheduleRow).order_by(ScheduleRow.name)))
        at = {(row.schedule, row.node): row.position for row in db.scalars(select(Cursor))}
        return [
            Lag(one.name, node, mark, at.get((one.name, node), 0), one.paused)
            for one in schedules
            for node, mark in sorted(marks.items())
        ]


def coverage(state: State, actor: Actor, *, newest: int = 2_000) -> list[Covered]:
    """By agency and rule set, from the newest intervals; the rule set used last comes first."""
    scope = scope_for(actor, "run.read")
    sums: dict[tuple[str, str], tuple[int, int, int]] = {}
    order: dict[str, int] = {}
    with state.read() as db:
        names = agencies(db, actor)
        for row in db.scalars(select(Coverage).order_by(Coverage.id.desc()).limit(newest)):
            order.setdefault(row.ruleset, len(order))
            for agency, part in row.agencies.items():
                if not scope.allows(agency):
                    continue
                key = (agency, row.ruleset)
                events, first, last = sums.get(key, (0, part["first"], part["last"]))
                sums[key] = (
                    events + part["events"],
                    min(first, part["first"]),
                    max(last, part["last"]),
                )
    lines = [
        Covered(names.get(agency) or unknown(agency), ruleset, n, from_micros(a), from_micros(z))
        for (agency, ruleset), (n, a, z) in sums.items()
    ]
    return sorted(lines, key=lambda line: (order[line.ruleset], line.agency.name_vi))


def roles(state: State, actor: Actor) -> list[RoleLine]:
    require(actor, "operation.read", None)
    with state.read() as db:
        rows = db.scalars(select(Pulse).order_by(Pulse.role, Pulse.node))
        return [
            RoleLine(row.role, row.node, row.started, row.beat, row.progress, row.waiting)
            for row in rows
        ]


def alarms(state: State, actor: Actor) -> list[AlarmLine]:
    require(actor, "operation.read", None)
    with state.read() as db:
        rows = db.scalars(select(Alarm).where(Alarm.closed.is_(None)).order_by(Alarm.opened))
        return [AlarmLine(row.key, row.message, row.opened, row.seen) for row in rows]
