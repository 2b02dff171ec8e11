"""Who is to hear of what: lines of the history become notices, each person once per cause.

    what happened                                   who hears
    a ticket is critical (new, grown, set so)       who is on duty
    it was given to somebody by another             that person
    it waits for the agency                         the agency's officers
    the agency answered                             who holds it, else who is on duty
    a clock warns                                   who holds it, else who is on duty
    a clock ran out                                 the same, and the people of `tickets.escalate_to`
    a source is not well (a health ticket)          the agency's officers

On duty is who says so (a hand-over ends it); if nobody does, every analyst is, and where there
is none, the administrators. Nobody hears of a ticket that they
may not read, nor of what they did themselves.

In: the history, by a cursor (`counter` row `tickets.notices`). Out: rows of `notice` and one line in each ticket's
history, in the cursor's transaction: kill it anywhere, and nothing is told twice or never. A drill's notices stay on
the page; what is older than a day is news no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.access import people
from pipeline.access.permissions import reach
from pipeline.model.detections import Level
from pipeline.model.errors import UsageError
from pipeline.model.scope import SYSTEM, Actor
from pipeline.state.state import State
from pipeline.state.tables.access import Person, Token
from pipeline.state.tables.desk import Notice, NoticeWish
from pipeline.state.tables.operation import Counter
from pipeline.state.tables.tickets import Ticket, TicketHistory
from pipeline.store.steps import step
from pipeline.tickets.history import record

CURSOR: Final = "tickets.notices"
OLD_NEWS: Final = timedelta(days=1)
USUAL: Final = {
    "critical": "both", "assigned": "page", "asked": "both", "answered": "both",
    "warned": "page", "breached": "both", "health": "both",
}  # fmt: skip
WAYS: Final = ("none", "page", "mail", "both")
HEALTH: Final = "health"
_KINDS: Final = {
    "opened": "critical", "amended": "critical", "severity": "critical", "assigned": "assigned",
    "handed_over": "assigned", "waiting": "asked", "answered": "answered",
    "clock_warned": "warned", "clock_breached": "breached",
}  # fmt: skip
_WORKERS: Final = tuple(r for r in ("analyst", "administrator") if reach(r, "ticket.claim") != "-")
_MOST: Final = 50


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How a person is told. `mail` is an address, empty for none."""

    on_duty: bool = False
    mail: str = ""
    ways: dict[str, str] = {}

    def way(self, kind: str) -> str:
        return self.ways.get(kind, USUAL[kind])


class NoticeView(msgspec.Struct, frozen=True):
    """A notice as its reader sees it."""

    id: int
    kind: str
    number: int
    title: str
    severity: str
    drill: bool
    detail: dict[str, Any]
    at: Any
    seen: Any


def notices_once(state: State, *, now: datetime, escalate_to: Sequence[str] = ()) -> int:
    """Take some lines of the history; how many."""
    with state.read() as session:
        if not _lines(session, _position(session), 1):
            return 0
    with state.begin() as session:
        cursor = session.get(Counter, CURSOR, with_for_update=True)
        if cursor is None:
            cursor = Counter(name=CURSOR, value=0)
            session.add(cursor)
        lines = _lines(session, cursor.value, _MOST)
        for line in lines:
            if line.at > now - OLD_NEWS:
                _tell(session, line, escalate_to, now)
                step("notices.told")
        if lines:
            cursor.value = lines[-1].id
        session.flush()
        step("notices.before_commit")
    step("notices.committed")
    return len(lines)


def _position(session: Session) -> int:
    row = session.get(Counter, CURSOR)
    return row.value if row else 0


def _lines(session: Session, after: int, most: int) -> list[TicketHistory]:
    query = sa.select(TicketHistory).where(TicketHistory.id > after).order_by(TicketHistory.id)
    return list(session.scalars(query.limit(most)))


def _tell(session: Session, line: TicketHistory, escalate_to: Sequence[str], now: datetime) -> None:
    kind = _KINDS.get(line.what, "")
    ticket = session.get_one(Ticket, line.ticket)
    if ticket.kind == HEALTH and line.what == "opened":
        kind = HEALTH
    if not kind or (kind == "critical" and ticket.severity != Level.CRITICAL.value):
        return
    cause = f"{kind}:{ticket.id}" if kind in ("critical", HEALTH) else f"history:{line.id}"
    told = []
    for person in _hearers(session, kind, ticket, line, escalate_to):
        way = wish_of(session, person.id).way(kind)
        known = sa.select(Notice.id).where(Notice.person == person.id, Notice.cause == cause)
        if way == "none" or session.scalar(known) is not None:
            continue
        mail = way in ("mail", "both") and not ticket.drill
        session.add(
            Notice(
                person=person.id, cause=cause, kind=kind, ticket=ticket.id, at=now,
                detail={k: v for k, v in line.detail.items() if k in ("clock", "due", "condition")},
                page=way in ("page", "both"), mail="waiting" if mail else "none",
                mail_due=now if mail else None,
            )
        )  # fmt: skip
        told.append(person.id)
    if told:
        changed = ticket.changed
        detail = {"kind": kind, "people": told, "line": line.place}
        record(session, ticket, "noticed", by=SYSTEM.name, at=now, detail=detail, tell=False)
        ticket.changed = changed


def _hearers(
    session: Session, kind: str, ticket: Ticket, line: TicketHistory, escalate_to: Sequence[str]
) -> list[people.Person]:
    """In the order of their ids; those alone who may read the ticket."""
    holder = [ticket.owner.removeprefix("person:")] if ticket.owner.startswith("person:") else []
    if kind == "assigned":
        wanted: Iterable[str] = [str(line.detail.get("to", "")).removeprefix("person:")]
    elif kind in ("asked", HEALTH):
        if kind == "asked" and line.detail.get("for") != "agency":
            return []
        wanted = _officers(session)
    elif kind == "critical":
        wanted = _on_duty(session, ticket)
    else:
        wanted = holder or _on_duty(session, ticket)
    if kind == "breached":
        wanted = [*wanted, *escalate_to]
    found = [_person(session, one) for one in sorted({*wanted})]
    return [
        one for one in found
        if one is not None and _may_read(one, ticket) and f"person:{one.id}" != line.by
    ]  # fmt: skip


def _may_read(person: people.Person, ticket: Ticket) -> bool:
    return person.disabled is None and person.actor().scope.allows(ticket.agency)


def _person(session: Session, person: str) -> people.Person | None:
    return people.read(session, person) if session.get(Person, person) is not None else None


def _officers(session: Session) -> list[str]:
    return list(session.scalars(sa.select(Person.id).where(Person.role == "officer")))


def _on_duty(session: Session, ticket: Ticket) -> list[str]:
    """Who says so; else the analysts; else the administrators: somebody always hears."""
    says_so = set(session.scalars(sa.select(NoticeWish.person).where(NoticeWish.on_duty.is_(True))))
    query = sa.select(Person.id).where(Person.role.in_(_WORKERS)).order_by(Person.id)
    able = [
        one
        for person in session.scalars(query)
        if (one := _person(session, person)) is not None and _may_read(one, ticket)
    ]
    for group in (
        [one.id for one in able if one.id in says_so],
        *([one.id for one in able if one.role == role] for role in _WORKERS),
    ):
        if group:
            return group
    return []


def wish_of(session: Session, person: str) -> Wish:
    row = session.get(NoticeWish, person)
    return Wish(on_duty=row.on_duty, mail=row.mail, ways=dict(row.ways)) if row else Wish()


def get_wish(state: State, actor: Actor) -> Wish:
    with state.read() as session:
        return wish_of(session, actor.id)


def set_wish(state: State, actor: Actor, wish: Wish) -> None:
    """A person's own wishes; nobody sets another's."""
    odd = [way for way in wish.ways.values() if way not in WAYS] + sorted(set(wish.ways) - set(USUAL))  # fmt: skip
    if odd:
        raise UsageError("no such way of telling", got=repr(odd[0][:40]), expected=", ".join(WAYS))
    if wish.mail and not _is_address(wish.mail):
        raise UsageError("this is no address", got=repr(wish.mail[:80]), expected="ten@coquan.vn")
    with state.begin() as session:
        session.merge(
            NoticeWish(person=actor.id, on_duty=wish.on_duty, mail=wish.mail, ways=dict(wish.ways))
        )


def _is_address(text: str) -> bool:
    name, at, host = text.partition("@")
    plain = text.isascii() and text.isprintable() and len(text) <= 254
    return bool(plain and at and name and host) and not any(c in ' <>,;"()\\@' for c in name + host)


def go_off_duty(session: Session, actor: Actor) -> None:
    row = session.get(NoticeWish, actor.id)
    if row is not None:
        row.on_duty = False


def notices_of(
    state: State, actor: Actor, *, limit: int = 100, before: int | None = None
) -> list[NoticeView]:
    """The actor's own, the newest first; `before` one: those older than it."""
    query = (
        sa.select(Notice, Ticket)
        .join(Ticket, Ticket.id == Notice.ticket)
        .where(Notice.person == _whose(actor), Notice.page.is_(True))
        .order_by(Notice.id.desc())
        .limit(limit)
    )
    if actor.scope.agencies is not None:
        query = query.where(Ticket.agency.in_(sorted(actor.scope.agencies)))
    if before is not None:
        query = query.where(Notice.id < before)
    with state.read() as session:
        rows = session.execute(query)
        return [
            NoticeView(
                n.id, n.kind, t.number, t.title, t.severity, t.drill, dict(n.detail), n.at, n.seen
            )
            for n, t in rows
        ]


def _whose(actor: Actor) -> sa.ColumnElement[str]:
    """A person's, or those of the person that a token acts for."""
    if actor.kind == "token":
        return sa.select(Token.person).where(Token.id == actor.id).scalar_subquery()
    return sa.literal(actor.id)


def unseen(state: State, actor: Actor) -> int:
    with state.read() as session:
        query = sa.select(sa.func.count()).where(
            Notice.person == _whose(actor), Notice.seen.is_(None), Notice.page.is_(True)
        )
        return session.scalar(query) or 0


def mark_seen(state: State, actor: Actor, *, upto: int, now: datetime) -> None:
    """What the actor has looked at: their notices up to this one."""
    with state.begin() as session:
        session.execute(
            sa.update(Notice)
            .where(Notice.person == _whose(actor), Notice.seen.is_(None), Notice.id <= upto)
            .values(seen=now)
        )


def forget_notices(state: State, *, now: datetime, kept: timedelta = timedelta(days=90)) -> int:
    """Drop notices that are old; the tickets' history keeps what was told to whom."""
    with state.begin() as session:
        done = session.execute(sa.delete(Notice).where(Notice.at < now - kept))
        return int(done.rowcount)  # type: ignore[attr-defined]
