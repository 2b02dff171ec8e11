"""The queue as people read it: a page of tickets, or one with all that a page about it shows.

Order: the highest priority first, of equals the newest. Paging is by key (`priority.number` of the last
line), so that what comes in meanwhile shifts nothing. All within the actor's reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.access.permissions import scope_for
from pipeline.detect.correlations.correlation import CENTRE
from pipeline.model.clock import from_micros
from pipeline.model.detections import Level
from pipeline.model.errors import UsageError
from pipeline.model.scope import Actor, Scope
from pipeline.model.tickets import TicketStatus
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingRow, Run
from pipeline.state.tables.rules import RuleRevision, Ruleset
from pipeline.state.tables.tickets import Ticket, TicketFinding, TicketHistory, TicketTag
from pipeline.store.base import Store, TimeRange
from pipeline.tickets.attachments import AttachmentView, attachments_of
from pipeline.tickets.clocks.clocks import clocks_of
from pipeline.tickets.deeds import find
from pipeline.tickets.filters import EVERY_OPEN, Filters, conditions
from pipeline.tickets.priority import Priority, of_ticket

MAX_PAGE: Final = 500
FINDINGS_PAGE: Final = 20
"""Findings of one ticket that are shown at a time: a storm's holds thousands."""
_GRAVEST_FIRST: Final = sa.case(
    {one.value: -one.rank for one in Level}, value=FindingRow.level, else_=1
)
"""Among findings that begin with the same event: guesses, and guesses with a login."""


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
    priority: int
    tlp: str
    waiting_for: str
    severity_by: str
    due: Any
    due_what: str
    alert: str
    signs: list[str]
    checks: dict[str, Any]
    asset: str
    criticality: int


class ClockView(msgspec.Struct, frozen=True):
    """A clock of a ticket, as it stands."""

    key: str
    kind: str
    pack: str
    state: str
    began: Any
    due: Any
    ended: Any


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

    `findings` are those of one page of `pages`. `bases` are the rules by which their correlations read the events, at the
    revisions of the runs' rule sets.
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
    tags: tuple[str, ...]
    clocks: tuple[ClockView, ...]
    priority: Priority
    documents: Mapping[str, dict[str, Any]]
    files: tuple[AttachmentView, ...] = ()
    runs: tuple[dict[str, Any], ...] = ()
    bases: tuple[dict[str, Any], ...] = ()


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
    query = sa.select(Ticket).where(*conditions(filters, scope_for(actor, "ticket.read")))
    if after is not None:
        rank, number = _key(after)
        query = query.where(
            sa.or_(
                Ticket.priority < rank,
                sa.and_(Ticket.priority == rank, Ticket.number < number),
            )
        )
    query = query.order_by(Ticket.priority.desc(), Ticket.number.desc()).limit(limit + 1)
    with state.read() as session:
        rows = list(session.scalars(query))
    more = len(rows) > limit
    rows = rows[:limit]
    key = f"{rows[-1].priority}.{rows[-1].number}" if more else None
    return QueuePage(tuple(_line(row) for row in rows), key)


def count_tickets(state: State, actor: Actor, filters: Filters = EVERY_OPEN) -> int:
    """How many tickets the filters leave."""
    where = conditions(filters, scope_for(actor, "ticket.read"))
    with state.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Ticket).where(*where)) or 0


class Tally(msgspec.Struct, frozen=True):
    """How many open tickets the filters leave, whatever they say of status, owner and alert; and how many of
    those nobody has, the reader has, wait for an answer, are overdue."""

    open: int
    free: int
    mine: int
    waiting: int
    late: int


def tally(state: State, actor: Actor, filters: Filters = EVERY_OPEN) -> Tally:
    """All of them by one look at one index, where the filters ask for nothing else."""
    base = msgspec.structs.replace(filters, status="open", owner="", alert="")
    where = conditions(base, scope_for(actor, "ticket.read"))

    def count(which: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.coalesce(sa.func.sum(sa.case((which, 1), else_=0)), 0)

    query = sa.select(
        sa.func.count(),
        count(Ticket.owner == ""),
        count(Ticket.owner == actor.name),
        count(Ticket.status == TicketStatus.WAITING.value),
        count(Ticket.alert == "breached"),
    ).select_from(Ticket)
    with state.read() as session:
        return Tally(*map(int, session.execute(query.where(*where)).one()))


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
            tags=tuple(
                session.scalars(
                    sa.select(TicketTag.tag)
                    .where(TicketTag.ticket == ticket.id)
                    .order_by(TicketTag.tag)
                )
            ),
            clocks=tuple(
                ClockView(c.key, c.kind, c.pack, c.state, c.began, c.due, c.ended)
                for c in clocks_of(session, ticket).values()
            ),
            priority=of_ticket(session, ticket),
            files=attachments_of(session, ticket.id),
            runs=_runs(session, {finding.run for finding in findings}),
            bases=_bases(session, findings),
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
        .order_by(FindingRow.first, _GRAVEST_FIRST, FindingRow.id)
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


def _runs(session: Session, ids: set[str]) -> tuple[dict[str, Any], ...]:
    """The detection runs that made the findings: over which window, with which rule set."""
    rows = session.scalars(sa.select(Run).where(Run.id.in_(ids)).order_by(Run.id))
    return tuple(
        {
            "id": row.id, "kind": row.kind, "ruleset": row.ruleset, "window": row.window,
            "started": row.started, "ended": row.ended,
        }
        for row in rows
    )  # fmt: skip


def _bases(session: Session, findings: Sequence[FindingView]) -> tuple[dict[str, Any], ...]:
    asked = {str(s["rule"]) for f in findings for s in f.samples if s.get("rule")}
    if not asked:
        return ()
    runs = sa.select(Run.ruleset).where(Run.id.in_({finding.run for finding in findings}))
    members = {
        member
        for row in session.scalars(sa.select(Ruleset).where(Ruleset.hash.in_(runs)))
        for member in row.members
    }
    rows = session.scalars(
        sa.select(RuleRevision)
        .where(RuleRevision.rule.in_(asked))
        .order_by(RuleRevision.rule, RuleRevision.revision)
    )
    return tuple(
        {"rule": row.rule, "revision": row.revision, "title": row.title, "text": row.text}
        for row in rows
        if row.revision in members
    )


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
