"""Findings as people read them: a page of them, the last changed first, or one with its raw lines.

In: an actor and filters. Out: `FindingLine` values, and a `FindingView`. Paging is by the number of a
finding's last change: one that changes meanwhile moves to the front and shifts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from pipeline.access.permissions import require, scope_for
from pipeline.access.scoping import within
from pipeline.model import fold
from pipeline.model.clock import from_micros
from pipeline.model.detections import Level
from pipeline.model.errors import UsageError
from pipeline.model.scope import Actor, Scope
from pipeline.state.prefix import by_prefix
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingRow
from pipeline.state.tables.rules import RuleRevision
from pipeline.state.tables.tickets import Ticket, TicketFinding
from pipeline.store.base import Store, TimeRange

MAX_PAGE: Final = 500


class FindingLine(msgspec.Struct, frozen=True):
    """A finding as a list shows it. `count` is exact; `ticket` is None where it opened none."""

    id: str
    rule: str
    revision: str
    title: str
    level: str
    status: str
    agency: str
    entity: str
    entity_field: str
    first: datetime
    last: datetime
    count: int
    merged_into: str
    run: str
    created: datetime
    changed: datetime
    ticket: int | None = None


class FindingPage(msgspec.Struct, frozen=True):
    """`next` is the key of the page after this; None at the end."""

    items: tuple[FindingLine, ...]
    next: str | None


class FindingView(msgspec.Struct, frozen=True):
    """One finding with its rule's text at the revision that matched. `absorbed` are findings that became
    one with it; `documents` maps the hex id of each sample to its event (absent where deleted)."""

    finding: FindingLine
    rule_text: str
    samples: tuple[dict[str, Any], ...]
    absorbed: tuple[str, ...]
    documents: Mapping[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Empty means any. `since` and `until` bound the finding's last event; those that others absorbed
    are left out unless `merged`. `rule` may be the beginning of an id."""

    agency: str = ""
    rule: str = ""
    level: str = ""
    entity: str = ""
    run: str = ""
    since: datetime | None = None
    until: datetime | None = None
    merged: bool = False


ANY: Final = Filters()


def list_findings(
    state: State,
    actor: Actor,
    filters: Filters = ANY,
    *,
    limit: int = 50,
    after: str | None = None,
) -> FindingPage:
    """A page of findings within the actor's reach. `after` is the `next` of the page before."""
    if not 1 <= limit <= MAX_PAGE:
        raise UsageError("a page has a size", got=str(limit), expected=f"1 to {MAX_PAGE}")
    where = [within(FindingRow.agency, scope_for(actor, "finding.read")), *_conditions(filters)]
    if after is not None:
        if not after.isdecimal():
            raise UsageError(
                "this is no key of a page", got=after, remedy="begin at the first page"
            )
        where.append(FindingRow.number < int(after))
    query = _lines().where(*where).order_by(FindingRow.number.desc()).limit(limit + 1)
    with state.read() as session:
        rows = list(session.execute(query))
    more = len(rows) > limit
    rows = rows[:limit]
    key = str(rows[-1][0].number) if more else None
    return FindingPage(tuple(_line(row, ticket) for row, ticket, _ in rows), key)


def get_finding(state: State, store: Store | None, actor: Actor, ref: str) -> FindingView:
    """One finding by its id, or a beginning of it. Without a store, no raw lines."""
    scope = scope_for(actor, "finding.read")
    query = _lines().where(within(FindingRow.agency, scope))
    with state.read() as session:
        row, ticket, text = by_prefix(session, query, FindingRow.id, ref, "finding")
        require(actor, "finding.read", row.agency)
        absorbed = tuple(
            session.scalars(
                sa.select(FindingRow.id)
                .where(FindingRow.merged_into == row.id)
                .order_by(FindingRow.first, FindingRow.id)
            )
        )
    view = FindingView(_line(row, ticket), text or "", tuple(row.samples), absorbed, {})
    if store is None or not row.samples:
        return view
    times = [sample["time"] for sample in row.samples]
    documents = store.get(
        [sample["event"] for sample in row.samples],
        scope=_reach(row, scope_for(actor, "event.search")),
        when=TimeRange(from_micros(min(times)), from_micros(max(times) + 1)),
    )
    return msgspec.structs.replace(view, documents={d["event"]["id"]: d for d in documents})


def _reach(row: FindingRow, scope: Scope) -> Scope:
    """Events of the finding's agency; of the centre's findings, which join agencies, what is in reach."""
    from pipeline.detect.correlations.correlation import CENTRE

    return scope if row.agency == CENTRE else Scope.of(row.agency)


def _lines() -> sa.Select[FindingRow, int, str]:
    return (
        sa.select(FindingRow, Ticket.number, RuleRevision.text)
        .outerjoin(TicketFinding, TicketFinding.finding == FindingRow.id)
        .outerjoin(Ticket, Ticket.id == TicketFinding.ticket)
        .outerjoin(RuleRevision, RuleRevision.revision == FindingRow.revision)
    )


def _line(row: FindingRow, ticket: int | None) -> FindingLine:
    names = FindingLine.__struct_fields__[:-1]  # all but the ticket are columns of the row
    return FindingLine(**{name: getattr(row, name) for name in names}, ticket=ticket)


def _conditions(filters: Filters) -> Sequence[sa.ColumnElement[bool]]:
    where: list[sa.ColumnElement[bool]] = []
    if not filters.merged:
        where.append(FindingRow.merged_into == "")
    if filters.level:
        levels = [level.value for level in Level]
        if filters.level not in levels:
            raise UsageError("no such level", got=filters.level, expected=", ".join(levels))
        where.append(FindingRow.level == filters.level)
    if filters.rule:
        where.append(FindingRow.rule.startswith(filters.rule, autoescape=True))
    for column, value in (
        (FindingRow.agency, filters.agency),
        (FindingRow.entity_key, fold.entity(filters.entity)),
        (FindingRow.run, filters.run),
    ):
        if value:
            where.append(column == value)
    if filters.since is not None:
        where.append(FindingRow.last >= filters.since)
    if filters.until is not None:
        where.append(FindingRow.last < filters.until)
    return where
