"""The clocks of a ticket: what was promised (claim, close) and what the law demands; they follow its life.

    service  claim   from opening until somebody first claims it
             close   from opening (or reopening) until it is closed; pauses while it waits for an answer
    legal    one for each clock of the pack in force whose signs the ticket has; from detection until the notice is
             given, over any closing but one that says that nothing happened; nothing pauses it

In: a ticket after a deed (`follow`), or `now` (`clocks_once`: warnings and breaches). Out: rows of `ticket_clock`,
lines of the history, and on the ticket its most pressing clock. Invariants: a drill's ticket has none, nor has a source's health;
each clock
warns once and breaches once, whatever dies; `spent` + what has passed since `since` = what has passed in all.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.model.clock import to_iso
from pipeline.model.scope import SYSTEM
from pipeline.model.tickets import ClosingReason, TicketStatus
from pipeline.state.state import State
from pipeline.state.tables.register import Agency
from pipeline.state.tables.tickets import Ticket, TicketClock, TicketFinding
from pipeline.tickets.clocks.calendar import working_end, working_seconds
from pipeline.tickets.clocks.packs import Policies, span, standing
from pipeline.tickets.history import record

SERVICE: Final = "service"
LEGAL: Final = "legal"
HEALTH: Final = "health"
CLAIM: Final = "claim"
CLOSE: Final = "close"
RUNNING: Final = ("running", "breached")
_LEGAL_WARN: Final = 0.75
_NOTHING_HAPPENED: Final = frozenset(
    {
        ClosingReason.BENIGN_TRUE_POSITIVE,
        ClosingReason.FALSE_POSITIVE_LOGIC,
        ClosingReason.FALSE_POSITIVE_DATA,
        ClosingReason.DUPLICATE,
        ClosingReason.TEST_DRILL,
        ClosingReason.RECOVERED,
    }
)
_MOST: Final = 25  # clocks of one transaction
_CLOCKS: Final = (
    sa.select(TicketClock).where(TicketClock.ticket == sa.bindparam("of")).order_by(TicketClock.id)
)


def follow(
    session: Session, ticket: Ticket, *, now: datetime, policies: Policies | None = None,
    first: bool = False,
) -> None:  # fmt: skip
    """Bring the ticket's clocks up to what it is now. Doing it twice changes nothing. `first`: it has none yet."""
    if ticket.drill or ticket.kind == HEALTH:
        return
    packs = policies or standing()
    if not first and any(isinstance(one, TicketClock | TicketFinding) for one in session.new):
        session.flush()
    with session.no_autoflush:  # the deed is written once, at its end
        clocks = {} if first else clocks_of(session, ticket)
        for clock in [
            *_service(session, ticket, clocks, packs),
            *_legal(session, ticket, clocks, packs),
        ]:
            session.add(clock)
            clocks[clock.key] = clock
    for clock in clocks.values():
        _move(ticket, clock, packs, now)
    press(ticket, clocks.values())


def clocks_of(session: Session, ticket: Ticket) -> dict[str, TicketClock]:
    return {clock.key: clock for clock in session.scalars(_CLOCKS, {"of": ticket.id})}


def press(ticket: Ticket, clocks: Iterable[TicketClock]) -> None:
    """The clock that the queue shows: one that is breached, else the one due first."""
    open_ones = [clock for clock in clocks if clock.state in RUNNING and clock.due is not None]
    first = min(
        open_ones, key=lambda clock: (clock.state != "breached", clock.due, clock.key), default=None
    )
    ticket.due, ticket.due_what, ticket.alert = None, "", ""
    if first is not None:
        ticket.due, ticket.due_what = first.due, first.key
        ticket.alert = "breached" if first.state == "breached" else "warned" if first.warned else ""


def _service(
    session: Session, ticket: Ticket, clocks: dict[str, TicketClock], packs: Policies
) -> list[TicketClock]:
    """The promise's clocks that are missing; those that stand get the times of the severity as it is now."""
    pack = packs.service_at(ticket.opened)
    agency = session.get(Agency, ticket.agency)
    line = pack.line(ticket.severity, agency.level if agency else 0) if pack else None
    if pack is None or line is None or ticket.closed is not None:
        return []
    made = []
    for key, budget in ((CLAIM, span(line.claim)), (CLOSE, span(line.close))):
        clock = clocks.get(key)
        if clock is None:
            made.append(
                TicketClock(
                    ticket=ticket.id, key=key, kind=SERVICE, pack=f"{pack.valid_from:%Y-%m-%d}",
                    working=line.working, began=ticket.opened, budget=budget, spent=0,
                    since=ticket.opened, state="running", warned=False,
                )
            )  # fmt: skip
        elif (clock.budget, clock.working) != (budget, line.working) and clock.ended is None:
            if clock.since is not None and clock.working != line.working:
                clock.spent, clock.since = 0, clock.began  # counted anew, in the other kind of time
            clock.budget, clock.working = budget, line.working
    return made


def _legal(
    session: Session, ticket: Ticket, clocks: dict[str, TicketClock], packs: Policies
) -> list[TicketClock]:
    if not ticket.signs and not any(clock.kind == LEGAL for clock in clocks.values()):
        return []
    began = detected(session, ticket)
    pack = packs.legal_at(began)
    wanted = {c.key: c for c in pack.clocks if set(c.signs) & set(ticket.signs)} if pack else {}
    for key, clock in clocks.items():
        if clock.kind == LEGAL and clock.state in (*RUNNING, "void"):
            back = key in wanted and not _nothing_happened(ticket)
            clock.state = ("running" if clock.state == "void" else clock.state) if back else "void"
    return [
        TicketClock(
            ticket=ticket.id, key=key, kind=LEGAL, pack=pack.id, working=False, began=began,
            budget=one.seconds, spent=0, since=began, state="running", warned=False,
        )
        for key, one in wanted.items()
        if pack is not None and key not in clocks and not _nothing_happened(ticket)
    ]  # fmt: skip


def detected(session: Session, ticket: Ticket) -> datetime:
    """When detection made the first of the ticket's findings: T0 of the law."""
    query = sa.select(sa.func.min(TicketFinding.created)).where(TicketFinding.ticket == ticket.id)
    return min(session.scalar(query) or ticket.opened, ticket.opened)


def _nothing_happened(ticket: Ticket) -> bool:
    return ticket.closed is not None and ticket.reason in _NOTHING_HAPPENED


def _move(ticket: Ticket, clock: TicketClock, packs: Policies, now: datetime) -> None:
    if clock.kind == SERVICE:
        ended = ticket.claimed if clock.key == CLAIM else ticket.closed
        if clock.key == CLAIM and ended is None:
            ended = ticket.closed
        if ended is not None:
            if clock.state in (*RUNNING, "paused"):
                end(clock, packs, ended)
        elif clock.state in ("met", "missed"):  # reopened: the promise begins anew
            clock.began = clock.since = now
            clock.spent, clock.state, clock.ended, clock.warned = 0, "running", None, False
        elif ticket.status == TicketStatus.WAITING and clock.key == CLOSE:
            _pause(clock, packs, now)
        elif clock.state == "paused":
            clock.since = now
            clock.state = "running"
    _aim(clock, packs, now)


def _pause(clock: TicketClock, packs: Policies, now: datetime) -> None:
    if clock.since is not None and clock.state != "paused":
        clock.spent += _passed(clock, packs, clock.since, now)
        clock.since, clock.state = None, "paused"


def end(clock: TicketClock, packs: Policies, moment: datetime) -> None:
    """What was to be done is done: in time, or too late."""
    if clock.since is not None:
        clock.spent += _passed(clock, packs, clock.since, moment)
    clock.since, clock.ended = None, moment
    clock.state = "met" if clock.spent <= clock.budget else "missed"


def _aim(clock: TicketClock, packs: Policies, now: datetime) -> None:
    """When it is due, and when it has something to say next."""
    if clock.state not in RUNNING or clock.since is None:
        clock.next = None
        clock.due = None if clock.state == "paused" else clock.due
        return
    clock.due = _after(clock, packs, clock.budget)
    warning = min(clock.due, _after(clock, packs, _warning(clock, packs)))
    if clock.state == "breached" and clock.due > now:  # another severity has given it time
        clock.state = "running"
    if clock.warned and warning > now:
        clock.warned = False
    due = clock.due if clock.warned else warning
    clock.next = None if clock.state == "breached" else due


def _warning(clock: TicketClock, packs: Policies) -> int:
    pack = packs.service_at(clock.began) if clock.kind == SERVICE else None
    return int(clock.budget * (pack.warn if pack else _LEGAL_WARN))


def _passed(clock: TicketClock, packs: Policies, start: datetime, stop: datetime) -> int:
    if clock.working:
        return working_seconds(packs.calendar, start, stop)
    return max(0, int((stop - start).total_seconds()))


def _after(clock: TicketClock, packs: Policies, seconds: int) -> datetime:
    """When `seconds` in all will have been spent."""
    assert clock.since is not None
    left = max(0, seconds - clock.spent)
    if clock.working:
        return working_end(packs.calendar, clock.since, left)
    return clock.since + timedelta(seconds=left)


def clocks_once(state: State, *, now: datetime, policies: Policies | None = None) -> int:
    """Say what clocks have to say by now, some at a time; how many spoke."""
    packs = policies or standing()
    with state.read() as session:
        if (
            session.scalar(sa.select(TicketClock.id).where(TicketClock.next <= now).limit(1))
            is None
        ):
            return 0
    with state.begin() as session:
        query = sa.select(TicketClock).where(TicketClock.next <= now).order_by(TicketClock.next)
        speaking = list(session.scalars(query.limit(_MOST).with_for_update()))
        for clock in speaking:
            ticket = session.get_one(Ticket, clock.ticket, with_for_update=True)
            _speak(session, ticket, clock, packs, now)
            press(ticket, clocks_of(session, ticket).values())
    return len(speaking)


def _speak(
    session: Session, ticket: Ticket, clock: TicketClock, packs: Policies, now: datetime
) -> None:
    assert clock.due is not None
    detail = {"clock": clock.key, "due": to_iso(clock.due)}
    if now >= clock.due:
        clock.state, clock.next, clock.warned = "breached", None, True
        pack = packs.service_at(ticket.opened)
        to = {"escalate_to": {"vi": pack.escalate_to.vi, "en": pack.escalate_to.en}} if pack else {}
        record(session, ticket, "clock_breached", by=SYSTEM.name, at=now, detail=detail | to)
    else:
        clock.warned, clock.next = True, clock.due
        record(session, ticket, "clock_warned", by=SYSTEM.name, at=now, detail=detail)
