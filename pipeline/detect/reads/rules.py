"""Rules as the installation holds them, and what they have found within a scope.

In: an actor and filters. Out: `RuleLine` values a page at a time, and one rule with its text, its
revisions and its changes. A rule belongs to no agency; what it found does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from pipeline.access.permissions import require, scope_for
from pipeline.access.scoping import within
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


def rule_lines(
    state: State, actor: Actor, filters: Filters, *, page: int = 1, size: int = 100
) -> tuple[Sequence[RuleLine], int]:
    """One page of the rules, those with findings first, and how many there are in all."""
    require(actor, "rule.read", None)
    where = _where(filters)
    with state.read() as db:
        total = db.scalar(
            select(sa.func.count())
            .select_from(RuleRow)
            .join(RuleRevision, RuleRevision.revision == RuleRow.revision)
            .where(*where)
        )
        found = _found(actor)
        count = sa.func.coalesce(found.c.findings, 0)
        rows = db.execute(
            select(RuleRow, RuleRevision.title, RuleRevision.level, RuleRevision.status, count)
            .join(RuleRevision, RuleRevision.revision == RuleRow.revision)
            .outerjoin(found, found.c.rule == RuleRow.id)
            .where(*where)
            .order_by(count.desc(), RuleRevision.title, RuleRow.id)
            .offset((page - 1) * size)
            .limit(size)
        )
        return [_line(row, *rest) for row, *rest in rows], total or 0


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
    query = (
        select(RuleRow.id, RuleRevision.title)
        .join(RuleRevision, RuleRevision.revision == RuleRow.revision)
        .where(RuleRow.id.in_(sorted(set(ids))[:2_000]))
    )
    with state.read() as db:
        return dict(db.execute(query).tuples().all())


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
    )
