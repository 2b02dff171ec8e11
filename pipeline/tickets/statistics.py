"""The queue in figures: how soon tickets are claimed and closed, what waits, which rules are right, who has the load.

In: who asks, `now`, a number of days. Out: `Figures`, over the tickets that were opened within those days and that
the reader may see. Drills, duplicates and sources' health are left out: the first is no work, the second
counts once, where it went, the third is not detection.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from math import ceil
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.access.permissions import scope_for
from pipeline.model.clock import CITY_ZONE
from pipeline.model.detections import Level
from pipeline.model.errors import UsageError
from pipeline.model.scope import Actor, Scope
from pipeline.state.state import State
from pipeline.state.tables.rules import RuleRevision, RuleRow
from pipeline.state.tables.tickets import Ticket, TicketFinding
from pipeline.tickets.priority import HITS, MISSES, precision

PERIODS: Final = (7, 30, 90, 365)
AGES: Final = tuple(timedelta(hours=h) for h in (1, 4, 24, 72, 168, 720))
_LINES: Final = 50


class Times(msgspec.Struct, frozen=True):
    """Of one severity: tickets opened, and the median and the 90th percentile of the time until something was
    done; None where nothing was done yet."""

    severity: str
    tickets: int
    claimed: int
    claim_median: timedelta | None
    claim_p90: timedelta | None
    closed: int
    close_median: timedelta | None
    close_p90: timedelta | None


class Day(msgspec.Struct, frozen=True):
    """A day of the city."""

    day: date
    opened: int
    closed: int


class Age(msgspec.Struct, frozen=True):
    """Open tickets that are younger than `below` (None: older than all), and no younger age's."""

    below: timedelta | None
    tickets: int


class Load(msgspec.Struct, frozen=True):
    """What a rule or an agency (`key`) made. `precision` is None where there is no verdict."""

    key: str
    title: str
    tickets: int
    open: int
    events: int
    hits: int
    misses: int
    precision: float | None


class Figures(msgspec.Struct, frozen=True):
    """`backlog` counts all open tickets, whenever they were opened."""

    days: int
    times: tuple[Times, ...]
    by_day: tuple[Day, ...]
    backlog: tuple[Age, ...]
    rules: tuple[Load, ...]
    agencies: tuple[Load, ...]


def figures(state: State, actor: Actor, *, days: int = 30, now: datetime) -> Figures:
    if days not in PERIODS:
        raise UsageError("no such period", got=str(days), expected=", ".join(map(str, PERIODS)))
    scope = scope_for(actor, "ticket.read")
    since = now - timedelta(days=days)
    with state.read() as session:
        rows = session.execute(
            sa.select(
                Ticket.severity, Ticket.agency, Ticket.opened, Ticket.claimed, Ticket.closed,
                Ticket.reason, Ticket.events,
            ).where(Ticket.opened >= since, *_counted(scope))
        ).all()  # fmt: skip
        closings = session.scalars(
            sa.select(Ticket.closed).where(Ticket.closed >= since, *_counted(scope))
        ).all()
        return Figures(
            days,
            tuple(_times(rows)),
            tuple(_by_day((row.opened for row in rows), closings, since, now)),
            tuple(_backlog(session, scope, now)),
            tuple(_rules(session, scope, since)),
            tuple(_agencies(rows)),
        )


def _counted(scope: Scope) -> list[sa.ColumnElement[bool]]:
    where: list[sa.ColumnElement[bool]] = [
        Ticket.drill.is_(False),
        Ticket.duplicate_of == "",
        Ticket.kind != "health",
    ]
    if scope.agencies is not None:
        where.append(Ticket.agency.in_(sorted(scope.agencies)))
    return where


def _times(rows: Iterable[Any]) -> Iterable[Times]:
    by_severity: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_severity[row.severity].append(row)
    for level in reversed(Level):
        mine = by_severity.get(level.value, [])
        claims = sorted(row.claimed - row.opened for row in mine if row.claimed)
        closes = sorted(row.closed - row.opened for row in mine if row.closed)
        yield Times(
            level.value, len(mine), len(claims), share(claims, 0.5), share(claims, 0.9),
            len(closes), share(closes, 0.5), share(closes, 0.9),
        )  # fmt: skip


def share(ordered: list[timedelta], part: float) -> timedelta | None:
    """The smallest of the values that at least `part` of them do not exceed."""
    return ordered[ceil(part * len(ordered)) - 1] if ordered else None


def _by_day(
    opened: Iterable[datetime], closed: Iterable[datetime | None], since: datetime, now: datetime
) -> Iterable[Day]:
    came = Counter(moment.astimezone(CITY_ZONE).date() for moment in opened)
    went = Counter(moment.astimezone(CITY_ZONE).date() for moment in closed if moment)
    day, last = since.astimezone(CITY_ZONE).date(), now.astimezone(CITY_ZONE).date()
    while day <= last:
        yield Day(day, came[day], went[day])
        day += timedelta(days=1)


def _backlog(session: Session, scope: Scope, now: datetime) -> Iterable[Age]:
    edges = [now - age for age in AGES]
    place = sa.case(*((Ticket.opened > edge, n) for n, edge in enumerate(edges)), else_=len(edges))
    counted = session.execute(
        sa.select(place.label("place"), sa.func.count().label("tickets"))
        .where(Ticket.closed.is_(None), *_counted(scope))
        .group_by(place)
    )
    found = {row.place: row.tickets for row in counted}
    for n, below in enumerate((*AGES, None)):
        yield Age(below, found.get(n, 0))


def _rules(session: Session, scope: Scope, since: datetime) -> Iterable[Load]:
    """A ticket of several rules counts for each of them."""

    def tickets(which: sa.ColumnElement[bool]) -> sa.Function[int]:
        return sa.func.count(sa.case((which, Ticket.id)).distinct())

    rows = session.execute(
        sa.select(
            TicketFinding.rule,
            sa.func.count(Ticket.id.distinct()).label("tickets"),
            tickets(Ticket.closed.is_(None)).label("open"),
            tickets(Ticket.reason.in_(HITS)).label("hits"),
            tickets(Ticket.reason.in_(MISSES)).label("misses"),
            sa.func.sum(TicketFinding.events).label("events"),
        )
        .join(Ticket, Ticket.id == TicketFinding.ticket)
        .where(Ticket.opened >= since, TicketFinding.gone.is_(False), *_counted(scope))
        .group_by(TicketFinding.rule)
        .order_by(sa.text("tickets DESC"), TicketFinding.rule)
        .limit(_LINES)
    ).all()
    titles = _titles(session, [row.rule for row in rows])
    for row in rows:
        yield _load(row.rule, titles.get(row.rule, ""), row._asdict())


def _load(key: str, title: str, counts: Mapping[str, Any]) -> Load:
    hits, misses = counts["hits"], counts["misses"]
    share_right = precision(hits, misses) if hits + misses else None
    events = int(counts["events"] or 0)
    return Load(key, title, counts["tickets"], counts["open"], events, hits, misses, share_right)


def _titles(session: Session, rules: list[str]) -> dict[str, str]:
    rows = session.execute(
        sa.select(RuleRow.id, RuleRevision.title)
        .join(RuleRevision, RuleRevision.revision == RuleRow.revision)
        .where(RuleRow.id.in_(rules))
    )
    return {row.id: row.title for row in rows}


def _agencies(rows: Iterable[Any]) -> list[Load]:
    by_agency: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts = by_agency[row.agency]
        counts["tickets"] += 1
        counts["open"] += row.closed is None
        counts["events"] += row.events
        counts["hits"] += row.reason in HITS
        counts["misses"] += row.reason in MISSES
    loads = [_load(agency, "", counts) for agency, counts in by_agency.items()]
    return sorted(loads, key=lambda load: (-load.tickets, load.key))[:_LINES]
