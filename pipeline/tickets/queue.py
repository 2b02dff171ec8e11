"""The queue as people read it: a page of tickets, or one with all that a page about it shows.

Order: the severest first, of equals the newest. Paging is by key (`rank.number` of the last line), so
that what comes in meanwhile shifts nothing. All within the actor's reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.access.permissions import scope_for
from pipeline.detect.correlation import CENTRE
from pipeline.model.clock import from_micros
from pipeline.model.detections import Level
from pipeline.model.errors import UsageError
from pipeline.model.scope import Actor, Scope
from pipeline.model.tickets import TicketStatus
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingRow
from pipeline.state.tables.rules import RuleRevision
from pipeline.state.tables.tickets import Ticket, TicketFinding, TicketHistory
from pipeline.store.base import Store, TimeRange
from pipeline.tickets.deeds import find

MAX_PAGE: Final = 500
FINDINGS_PAGE: Final = 20
"""Findings of one ticket that are shown at a time: a storm's holds thousands."""


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What of the queue is wanted; empty means any. `status` may be `open` (anything but closed).

    `owner` is an actor's name, or `-` for tickets that nobody has. `words` are sought in title and entity.
    """

    status: str = "open"
    agency: str = ""
    severity: str = ""
    at_least: str = ""
    owner: str = ""
    rule: str = ""
    entity: str = ""
    words: str = ""
    drill: bool | None = None


EVERY_OPEN: Final = Filters()


class Line(msgspec.Struct, frozen=True):
    """A ticket as the queue shows it."""

    id: str
    number: int
    kind: str
    agency: str
    drill: bool
    title: str
    entity: str
    severity: str
    status: str
    owner: str
    reason: str
    first: Any
    last: Any
    events: int
    findings: int
    rules: int
    opened: Any
    changed: Any
    closed: Any
    revision: int


class QueuePage(msgspec.Struct, frozen=True):
    """`next` is the key of the page after this; None at the end."""

    items: tuple[Line, ...]
    next: str | None


class FindingView(msgspec.Struct, frozen=True):
    """A finding with its rule's text at the revision that matched, and its samples' raw lines."""

    id: str
    rule: str
    revision: str
    rule_text: str
    title: str
    level: str
    entity: str
    entity_field: str
    first: Any
    last: Any
    count: int
    merged_into: str
    run: str
    samples: tuple[dict[str, Any], ...]


class TicketView(msgspec.Struct, frozen=True):
    """One ticket. `documents` maps the hex id of each sample to its event (absent if deleted or away).

    `findings` are those of one page of `pages`.
    """

    ticket: Line
    page: int
    pages: int
    duplicate_of: int | None
    follows: int | None
    followed_by: tuple[int, ...]
    duplicates: tuple[int, ...]
    findings: tuple[FindingView, ...]
    history: tuple[dict[str, Any], ...]
    documents: Mapping[str, dict[str, Any]]


def list_tickets(
    state: State,
    actor: Actor,
    filters: Filters = EVERY_OPEN,
    *,
    limit: int = 50,
    after: str | None = None,
) -> QueuePage:
    """A page of the queue. `after` is the `next` of the page before."""
    if not 1 <= limit <= MAX_PAGE:
        raise UsageError("a page has a size", got=str(limit), expected=f"1 to {MAX_PAGE}")
    query = sa.select(Ticket).where(*_conditions(filters, scope_for(actor, "ticket.read")))
    if after is not None:
        rank, number = _key(after)
        query = query.where(
            sa.or_(
                Ticket.severity_rank < rank,
                sa.and_(Ticket.severity_rank == rank, Ticket.number < number),
            )
        )
    query = query.order_by(Ticket.severity_rank.desc(), Ticket.number.desc()).limit(limit + 1)
    with state.read() as session:
        rows = list(session.scalars(query))
    more = len(rows) > limit
    rows = rows[:limit]
    key = f"{rows[-1].severity_rank}.{rows[-1].number}" if more else None
    return QueuePage(tuple(_line(row) for row in rows), key)


def count_tickets(state: State, actor: Actor, filters: Filters = EVERY_OPEN) -> int:
    """How many tickets the filters leave."""
    where = _conditions(filters, scope_for(actor, "ticket.read"))
    with state.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Ticket).where(*where)) or 0


def get_ticket(
    state: State, store: Store | None, actor: Actor, ref: str, *, page: int = 1
) -> TicketView:
    """One ticket by number or id, within the actor's reach, with a page of its findings. Without a store,
    no raw lines."""
    with state.read() as session:
        ticket = find(session, actor, ref, "ticket.read")
        history = list(
            session.scalars(
                sa.select(TicketHistory)
                .where(TicketHistory.ticket == ticket.id)
                .order_by(TicketHistory.place)
            )
        )
        told = {h.detail["finding"] for h in history if "finding" in h.detail}
        shown = _shown(ticket, told)
        total = session.scalar(sa.select(sa.func.count()).select_from(FindingRow).where(shown)) or 0
        findings = tuple(_findings(session, shown, page))
        view = TicketView(
            _line(ticket),
            page=page,
            pages=max(1, -(-total // FINDINGS_PAGE)),
            duplicate_of=_number(session, ticket.duplicate_of),
            follows=_number(session, ticket.follows),
            followed_by=_numbers(session, Ticket.follows == ticket.id),
            duplicates=_numbers(session, Ticket.duplicate_of == ticket.id),
            findings=findings,
            history=tuple(
                {"place": h.place, "what": h.what, "by": h.by, "at": h.at, "text": h.text}
                | {"detail": h.detail}
                for h in history
            ),
            documents={},
        )
    ids = list(dict.fromkeys(s["event"] for f in findings for s in f.samples))
    if store is None or not ids:
        return view
    times = [s["time"] for f in findings for s in f.samples]
    when = TimeRange(from_micros(min(times)), from_micros(max(times) + 1))
    documents = store.get(ids, scope=_reach(ticket, actor), when=when)
    return msgspec.structs.replace(view, documents=_by_id(documents))


def _reach(ticket: Ticket, actor: Actor) -> Scope:
    """The ticket's agency; of a ticket of the centre, whose events are of several, what the reader may see."""
    return actor.scope if ticket.agency == CENTRE else Scope.of(ticket.agency)


def _by_id(documents: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {str(_event_id(d)): d for d in documents}


def _event_id(document: Mapping[str, Any]) -> Any:
    """`event.id` of a nested or a flat document."""
    nested = document.get("event")
    if isinstance(nested, Mapping) and "id" in nested:
        return nested["id"]
    return document.get("event.id", document.get("id", ""))


def _shown(ticket: Ticket, told: set[str]) -> sa.ColumnElement[bool]:
    """The findings that count in the ticket, and those that did before another took them over."""
    held = sa.select(TicketFinding.finding).where(
        sa.or_(
            sa.and_(TicketFinding.ticket == ticket.id, TicketFinding.gone.is_(False)),
            TicketFinding.home == ticket.id,
        )
    )
    judged = sa.and_(FindingRow.id.in_(sorted(told)[:200]), FindingRow.merged_into == "")
    return sa.or_(FindingRow.id.in_(held), judged)


def _findings(session: Session, shown: sa.ColumnElement[bool], page: int) -> list[FindingView]:
    rows = session.execute(
        sa.select(FindingRow, RuleRevision.text)
        .outerjoin(RuleRevision, RuleRevision.revision == FindingRow.revision)
        .where(shown)
        .order_by(FindingRow.first, FindingRow.id)
        .limit(FINDINGS_PAGE)
        .offset(FINDINGS_PAGE * (max(page, 1) - 1))
    )
    return [
        FindingView(
            f.id, f.rule, f.revision, text or "", f.title, f.level, f.entity, f.entity_field,
            f.first, f.last, f.count, f.merged_into, f.run, tuple(f.samples),
        )
        for f, text in rows
    ]  # fmt: skip


def _conditions(filters: Filters, scope: Scope) -> list[sa.ColumnElement[bool]]:
    where: list[sa.ColumnElement[bool]] = []
    if scope.agencies is not None:
        where.append(Ticket.agency.in_(sorted(scope.agencies)))
    if filters.status == "open":
        where.append(Ticket.closed.is_(None))
    elif filters.status:
        where.append(Ticket.status == _one_of(filters.status, [s.value for s in TicketStatus]))
    levels = [level.value for level in Level]
    if filters.severity:
        where.append(Ticket.severity == _one_of(filters.severity, levels))
    if filters.at_least:
        rank = Level(_one_of(filters.at_least, levels)).rank
        where.append(Ticket.severity_rank >= rank)
    if filters.owner:
        where.append(Ticket.owner == ("" if filters.owner == "-" else filters.owner))
    if filters.rule:
        held = sa.exists().where(
            TicketFinding.ticket == Ticket.id, TicketFinding.rule == filters.rule
        )
        where.append(sa.or_(Ticket.rule == filters.rule, held))
    for column, value in ((Ticket.agency, filters.agency), (Ticket.entity, filters.entity)):
        if value:
            where.append(column == value)
    where += [
        sa.or_(
            Ticket.title.icontains(word, autoescape=True),
            Ticket.entity.icontains(word, autoescape=True),
        )
        for word in filters.words.split()
    ]
    if filters.drill is not None:
        where.append(Ticket.drill == filters.drill)
    return where


def _one_of(value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise UsageError("no such filter value", got=value, expected=", ".join(known))
    return value


def _key(text: str) -> tuple[int, int]:
    rank, _, number = text.partition(".")
    if not (rank.isdecimal() and number.isdecimal()):
        raise UsageError("this is no key of a page", got=text, remedy="begin at the first page")
    return int(rank), int(number)


def _line(ticket: Ticket) -> Line:
    return Line(*(getattr(ticket, name) for name in Line.__struct_fields__))


def _number(session: Session, ticket: str) -> int | None:
    return session.scalar(sa.select(Ticket.number).where(Ticket.id == ticket)) if ticket else None


def _numbers(session: Session, where: sa.ColumnElement[bool]) -> tuple[int, ...]:
    return tuple(session.scalars(sa.select(Ticket.number).where(where).order_by(Ticket.number)))
