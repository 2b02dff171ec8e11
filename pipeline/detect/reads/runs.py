"""Detection runs, how far they have come, and what they have covered.

In: an actor. Out: the newest runs, the lag of each schedule, coverage by agency and rule set. Who is
held to some agencies sees that runs were made, and coverage of those agencies alone: no sequence, and
no count that holds others' events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from pipeline.access.agencies import Agency, agencies, unknown
from pipeline.access.permissions import require, scope_for
from pipeline.access.scoping import within
from pipeline.model.clock import from_micros
from pipeline.model.errors import UsageError
from pipeline.model.scope import Actor, Scope
from pipeline.state.prefix import by_prefix
from pipeline.state.state import State
from pipeline.state.tables.detection import Coverage, Cursor, FindingRow, Run, ScheduleRow
from pipeline.state.tables.intake import Settlement
from pipeline.state.tables.operation import Alarm, Pulse
from pipeline.state.tables.rules import Ruleset


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
class Covered:
    """An agency's events that a rule set has been evaluated over, and the span of their times."""

    agency: Agency
    ruleset: str
    events: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class RunView:
    """One run. `window` maps nodes to `(after, upto]`, empty where it would tell of other agencies;
    `unfit` counts the active rules that could not fire in it."""

    run: RunLine
    window: dict[str, tuple[int, int]]
    unfit: int
    covered: tuple[Covered, ...]
    findings: int


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


def run_lines(
    state: State,
    actor: Actor,
    *,
    limit: int = 50,
    after: str | None = None,
    status: str = "",
    kind: str = "",
    schedule: str = "",
) -> list[RunLine]:
    """The newest runs; `after` is the id of the last one of the page before."""
    whole = scope_for(actor, "run.read").agencies is None
    query = select(Run).order_by(Run.started.desc(), Run.id.desc()).limit(limit)
    for column, value in ((Run.status, status), (Run.kind, kind), (Run.schedule, schedule)):
        if value:
            query = query.where(column == value)
    with state.read() as db:
        if after:
            last = db.get(Run, after)
            if last is None:
                raise UsageError(
                    "this is no key of a page", got=after, remedy="begin at the first page"
                )
            earlier = sa.and_(Run.started == last.started, Run.id < last.id)
            query = query.where(sa.or_(Run.started < last.started, earlier))
        return [_line(row, whole=whole) for row in db.scalars(query)]


def one_run(state: State, actor: Actor, ref: str) -> RunView:
    """One run by its id or a beginning of it, and what its findings and coverage are within the reach."""
    whole = scope_for(actor, "run.read").agencies is None
    with state.read() as db:
        row: Run = by_prefix(db, select(Run), Run.id, ref, "run")[0]
        ruleset = db.get(Ruleset, row.ruleset)
        found = db.scalar(
            select(sa.func.count())
            .select_from(FindingRow)
            .where(
                FindingRow.run == row.id,
                within(FindingRow.agency, scope_for(actor, "finding.read")),
            )
        )
        return RunView(
            run=_line(row, whole=whole),
            window={n: (a, z) for n, (a, z) in row.window.items()} if whole else {},
            unfit=len(ruleset.unfit) if ruleset else 0,
            covered=tuple(_covered_by(db, actor, row)),
            findings=found or 0,
        )


def _covered_by(db: Db, actor: Actor, run: Run) -> list[Covered]:
    """The coverage intervals that the run made or extended, by agency."""
    rows = db.scalars(
        select(Coverage).where(
            Coverage.ruleset == run.ruleset,
            sa.or_(Coverage.first_run == run.id, Coverage.last_run == run.id),
        )
    )
    return _covered(rows, agencies(db, actor), scope_for(actor, "run.read"))


def _line(row: Run, *, whole: bool) -> RunLine:
    return RunLine(
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
    with state.read() as db:
        rows = db.scalars(select(Coverage).order_by(Coverage.id.desc()).limit(newest))
        return _covered(rows, agencies(db, actor), scope)


def _covered(rows: Iterable[Coverage], names: Mapping[str, Agency], scope: Scope) -> list[Covered]:
    sums: dict[tuple[str, str], tuple[int, int, int]] = {}
    order: dict[str, int] = {}
    for row in rows:
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
