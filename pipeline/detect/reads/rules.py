"""Rules as the installation holds them, and what they have found within a scope.

In: an actor and filters. Out: `RuleLine` values a page at a time, and one rule with its text, its
revisions and its changes. A rule belongs to no agency; what it found does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from pipeline.access.permissions import require, scope_for
from pipeline.access.scoping import within
from pipeline.model.clock import CITY_ZONE, EPOCH
from pipeline.model.errors import NotFoundError
from pipeline.model.scope import Actor
from pipeline.state.prefix import by_prefix
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingRow
from pipeline.state.tables.rules import RuleChange, RuleRevision, RuleRow


@dataclass(frozen=True, slots=True)
class RuleLine:
    """A rule at its revision in force. `findings` counts those within the reader's scope."""

    id: str
    title: str
    level: str
    status: str
    origin: str
    path: str
    enabled: bool
    off_reason: str
    revision: str
    findings: int
    changed: datetime
    schedule: str = "main"


@dataclass(frozen=True, slots=True)
class Revision:
    """One text of a rule."""

    revision: str
    title: str
    text: str
    added: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """Who switched or imported a rule, and when."""

    what: str
    by: str
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Filters:
    """`words` is looked for in titles, paths and ids; empty values filter nothing."""

    words: str = ""
    level: str = ""
    state: str = ""
    status: str = ""
    schedule: str = ""


def rule_ids(state: State, actor: Actor, filters: Filters) -> list[str]:
    """Every rule that fits, those with the most findings first."""
    require(actor, "rule.read", None)
    found = _found(actor)
    count = sa.func.coalesce(found.c.findings, 0)
    query = (
        select(RuleRow.id)
        .join(RuleRevision, RuleRevision.revision == RuleRow.revision)
        .outerjoin(found, found.c.rule == RuleRow.id)
        .where(*_where(filters))
        .order_by(count.desc(), RuleRevision.title, RuleRow.id)
    )
    with state.read() as db:
        return list(db.scalars(query))


def active_ids(db: Db) -> set[str]:
    """Rules that are switched on and not retired; whether they can fire is another question."""
    return set(
        db.scalars(select(RuleRow.id).where(RuleRow.enabled.is_(True), RuleRow.retired.is_(None)))
    )


def lines_of(state: State, actor: Actor, ids: Sequence[str]) -> list[RuleLine]:
    """The rules of a page, in the order given."""
    require(actor, "rule.read", None)
    found = _found(actor)
    query = (
        select(
            RuleRow, RuleRevision.title, RuleRevision.level, RuleRevision.status,
            sa.func.coalesce(found.c.findings, 0),
        )
        .join(RuleRevision, RuleRevision.revision == RuleRow.revision)
        .outerjoin(found, found.c.rule == RuleRow.id)
        .where(RuleRow.id.in_(ids))
    )  # fmt: skip
    with state.read() as db:
        lines = {row.id: _line(row, *rest) for row, *rest in db.execute(query)}
    return [lines[one] for one in ids if one in lines]


def schedules_of(state: State, actor: Actor) -> list[str]:
    """The names of schedules that rules belong to."""
    require(actor, "rule.read", None)
    with state.read() as db:
        return list(db.scalars(select(RuleRow.schedule).distinct().order_by(RuleRow.schedule)))


def findings_by_day(
    state: State, actor: Actor, rule: str, *, since: datetime
) -> dict[str, dict[str, int]]:
    """Day of the city → agency → findings of the rule whose last event came then."""
    offset = since.astimezone(CITY_ZONE).utcoffset() or timedelta()  # one time all year
    zone = int(offset.total_seconds()) * 1_000_000
    day = (sa.type_coerce(FindingRow.last, sa.BigInteger) + zone) // 86_400_000_000
    query = (
        select(day.label("day"), FindingRow.agency, sa.func.count().label("n"))
        .where(
            FindingRow.rule == rule,
            FindingRow.merged_into == "",
            FindingRow.last >= since,
            within(FindingRow.agency, scope_for(actor, "finding.read")),
        )
        .group_by(day, FindingRow.agency)
    )
    found: dict[str, dict[str, int]] = {}
    with state.read() as db:
        for row in db.execute(query):
            date = (EPOCH + timedelta(days=int(row.day))).date().isoformat()
            found.setdefault(date, {})[row.agency] = row.n
    return found


def one_rule(
    state: State, actor: Actor, rule: str
) -> tuple[RuleLine, Sequence[Revision], Sequence[Change]]:
    """The rule, its revisions (the one in force first, then the newest) and its changes."""
    require(actor, "rule.read", None)
    with state.read() as db:
        row = db.get(RuleRow, rule)
        if row is None:
            raise NotFoundError("nothing such")
        texts = _revisions(db, rule, row.revision)
        current = db.get(RuleRevision, row.revision)
        found = _found(actor)
        count = db.scalar(select(found.c.findings).where(found.c.rule == rule)) or 0
        changes = db.scalars(
            select(RuleChange)
            .where(RuleChange.rule == rule)
            .order_by(RuleChange.id.desc())
            .limit(50)
        )
        line = _line(
            row,
            current.title if current else row.id,
            current.level if current else "",
            current.status if current else "",
            count,
        )
        return line, texts, [Change(c.what, c.by, c.note, c.at) for c in changes]


def titles(state: State, actor: Actor, ids: Collection[str]) -> dict[str, str]:
    """Of those rules that there are."""
    require(actor, "rule.read", None)
    query = select(RuleRow.id, RuleRevision.title).join(
        RuleRevision, RuleRevision.revision == RuleRow.revision
    )
    wanted, found = sorted(set(ids)), dict[str, str]()
    with state.read() as db:
        for start in range(0, len(wanted), 500):
            part = query.where(RuleRow.id.in_(wanted[start : start + 500]))
            found |= dict(db.execute(part).all())
    return found


def full_id(state: State, actor: Actor, ref: str) -> str:
    """The id of the one rule whose id is, or begins with, the text."""
    require(actor, "rule.read", None)
    with state.read() as db:
        found: str = by_prefix(db, select(RuleRow.id), RuleRow.id, ref, "rule")[0]
        return found


def _revisions(db: Db, rule: str, in_force: str) -> list[Revision]:
    rows = db.scalars(
        select(RuleRevision)
        .where(RuleRevision.rule == rule)
        .order_by((RuleRevision.revision != in_force), RuleRevision.added.desc())
    )
    return [Revision(row.revision, row.title, row.text, row.added) for row in rows]


def _found(actor: Actor) -> sa.Subquery:
    return (
        select(FindingRow.rule, sa.func.count().label("findings"))
        .where(
            FindingRow.merged_into == "",
            within(FindingRow.agency, scope_for(actor, "finding.read")),
        )
        .group_by(FindingRow.rule)
        .subquery()
    )


def _where(filters: Filters) -> list[sa.ColumnElement[bool]]:
    where: list[sa.ColumnElement[bool]] = [
        sa.or_(
            RuleRevision.title.icontains(word, autoescape=True),
            RuleRow.path.icontains(word, autoescape=True),
            RuleRow.id.icontains(word, autoescape=True),
        )
        for word in filters.words.split()[:8]
    ]
    if filters.level:
        where.append(RuleRevision.level == filters.level)
    if filters.status:
        where.append(RuleRevision.status == filters.status)
    if filters.schedule:
        where.append(RuleRow.schedule == filters.schedule)
    if filters.state == "on":
        where += [RuleRow.enabled.is_(True), RuleRow.retired.is_(None)]
    elif filters.state == "off":
        where.append(sa.or_(RuleRow.enabled.is_(False), RuleRow.retired.is_not(None)))
    return where


def _line(row: RuleRow, title: str, level: str, status: str, findings: int) -> RuleLine:
    return RuleLine(
        id=row.id,
        title=title,
        level=level,
        status=status,
        origin=row.origin,
        path=row.path,
        enabled=row.enabled and row.retired is None,
        off_reason=row.off_reason,
        revision=row.revision,
        findings=findings,
        changed=row.changed,
        schedule=row.schedule,
    )
