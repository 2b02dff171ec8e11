"""Findings become tickets: read in the order of their change, by a cursor that commits with the tickets.

In: findings that are new, amended or merged since the cursor (`counter` row `tickets.findings`).
Out: tickets, history and outbox rows. One transaction a batch: kill it anywhere, and the batch is
done or is done again.

    finding               its ticket        what happens
    new, opens tickets    none              a ticket (which says which closed one it follows)
    amended               open              the ticket's events and span follow; history at doublings
    amended               closed            the same; but events later than the closing are a recurrence:
                                            a new ticket that follows the old one and takes the finding
    taken back            as amended        its history says so; one that lost all its events opens none
    merged into another   its own, open     closed as duplicate of the other's ticket; where that is
                                            closed already, it follows it and takes the finding

Invariant: a finding is in at most one ticket; every living finding that opens tickets is in one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.model.detections import Level
from pipeline.model.ids import new_id
from pipeline.model.scope import SYSTEM
from pipeline.model.tickets import ClosingReason, TicketStatus
from pipeline.state.state import State, next_number
from pipeline.state.tables.detection import FindingRow
from pipeline.state.tables.operation import Counter
from pipeline.state.tables.register import Agency
from pipeline.state.tables.tickets import Ticket, TicketFinding, TicketHistory
from pipeline.store.steps import step
from pipeline.tickets.history import record

CURSOR: Final = "tickets.findings"
TICKET_NUMBERS: Final = "ticket"


class Policy(msgspec.Struct, frozen=True):
    """Findings of rules at `level` and up, with one of the `statuses`, open tickets."""

    level: Level = Level.MEDIUM
    statuses: frozenset[str] = frozenset({"stable", "test"})
    batch: int = 20  # keeps a transaction near 50 ms

    def opens(self, finding: FindingRow) -> bool:
        return Level(finding.level).rank >= self.level.rank and finding.status in self.statuses


DEFAULT_POLICY: Final = Policy()


class Grouped(msgspec.Struct, frozen=True):
    """Findings read, tickets opened, and the findings that still wait."""

    read: int
    opened: int
    left: int


def tickets_once(state: State, *, now: datetime, policy: Policy = DEFAULT_POLICY) -> Grouped | None:
    """Take one batch of changed findings into tickets. None: nothing has changed."""
    with state.read() as session:
        if not _waiting(session, _position(session)):
            return None
    with state.begin() as session:
        if session.get(Counter, CURSOR, with_for_update=True) is None:
            session.add(Counter(name=CURSOR, value=0))
            session.flush()
        cursor = session.get_one(Counter, CURSOR)
        findings = list(
            session.scalars(
                sa.select(FindingRow)
                .where(FindingRow.number > cursor.value)
                .order_by(FindingRow.number)
                .limit(policy.batch)
            )
        )
        if not findings:
            return None
        desk = _Desk(session, now, policy)
        for finding in findings:
            desk.take(finding)
            step("tickets.taken")
        cursor.value = findings[-1].number
        session.flush()
        step("tickets.before_commit")
        left = _waiting(session, cursor.value)
    step("tickets.committed")
    return Grouped(len(findings), desk.opened, left)


def _position(session: Session) -> int:
    row = session.get(Counter, CURSOR)
    return row.value if row else 0


def _waiting(session: Session, position: int) -> int:
    query = sa.select(sa.func.count()).where(FindingRow.number > position)
    return session.scalar(query) or 0


class _Desk:
    """One batch within one transaction."""

    def __init__(self, session: Session, now: datetime, policy: Policy) -> None:
        self.session, self.now, self.policy = session, now, policy
        self.opened = 0

    def take(self, finding: FindingRow) -> None:
        ticket = self._ticket_of(finding)
        if finding.merged_into:
            if ticket is not None:
                self._merge(finding, ticket)
        elif ticket is None:
            if finding.count and self.policy.opens(finding):
                self._open(finding, self._earlier(finding))
        elif ticket.closed is not None and finding.last > ticket.closed:
            self._recur(finding, ticket)
        else:
            self._amend(finding, ticket)

    def _ticket_of(self, finding: FindingRow) -> Ticket | None:
        link = self.session.get(TicketFinding, finding.id)
        return self.session.get_one(Ticket, link.ticket, with_for_update=True) if link else None

    def _earlier(self, finding: FindingRow) -> Ticket | None:
        """The closed ticket that a new one of this rule, agency and entity follows."""
        return self.session.scalar(
            sa.select(Ticket)
            .where(
                Ticket.rule == finding.rule,
                Ticket.agency == finding.agency,
                Ticket.entity == finding.entity,
                Ticket.closed.is_not(None),
                Ticket.duplicate_of == "",
            )
            .order_by(Ticket.closed.desc(), Ticket.number.desc())
            .limit(1)
        )

    def _open(self, finding: FindingRow, follows: Ticket | None) -> Ticket:
        agency = self.session.get(Agency, finding.agency)
        ticket = Ticket(
            id=new_id(),
            number=next_number(self.session, TICKET_NUMBERS),
            agency=finding.agency,
            drill=agency.drill if agency else False,
            rule=finding.rule,
            title=finding.title,
            entity=finding.entity,
            severity=finding.level,
            severity_rank=Level(finding.level).rank,
            status=TicketStatus.NEW.value,
            follows=follows.id if follows else "",
            first=finding.first,
            last=finding.last,
            events=finding.count,
            opened=self.now,
            changed=self.now,
        )
        self.session.add(ticket)
        self.session.flush()
        self._link(finding, ticket)
        detail = {
            "finding": finding.id,
            "rule": finding.rule,
            "revision": finding.revision,
            "events": finding.count,
        }
        self._record(ticket, "opened", detail | ({"follows": follows.number} if follows else {}))
        if follows is not None:
            self._record(follows, "linked", {"followed_by": ticket.number})
        self.opened += 1
        return ticket

    def _link(self, finding: FindingRow, ticket: Ticket) -> None:
        self.session.merge(TicketFinding(finding=finding.id, ticket=ticket.id, added=self.now))
        self.session.flush()

    def _amend(self, finding: FindingRow, ticket: Ticket) -> None:
        """The ticket's figures follow its findings. Its revision does not: nobody's work is stale by it."""
        first, last, events, rank = self._figures(ticket)
        before = (ticket.first, ticket.last, ticket.events, ticket.severity_rank)
        if (first, last, events, rank) == before:
            return
        worse = rank > ticket.severity_rank
        ticket.first, ticket.last, ticket.events = first, last, events
        ticket.changed = self.now
        if worse:
            ticket.severity_rank, ticket.severity = rank, list(Level)[rank].value
        fewer = events < before[2]  # a late event took back what a correlation had found
        if worse or fewer or events >= 2 * self._events_told(ticket) or first < before[0]:
            detail = {"finding": finding.id, "events": events, "before": before[2]}
            self._record(ticket, "amended", detail)

    def _figures(self, ticket: Ticket) -> tuple[datetime, datetime, int, int]:
        rows = list(
            self.session.scalars(
                sa.select(FindingRow)
                .join(TicketFinding, TicketFinding.finding == FindingRow.id)
                .where(TicketFinding.ticket == ticket.id, FindingRow.merged_into == "")
            )
        )
        return (
            min(r.first for r in rows),
            max(r.last for r in rows),
            sum(r.count for r in rows),
            max(ticket.severity_rank, *(Level(r.level).rank for r in rows)),
        )

    def _events_told(self, ticket: Ticket) -> int:
        """The count that the newest entry of the history that has one gives."""
        entries = self.session.scalars(
            sa.select(TicketHistory.detail)
            .where(TicketHistory.ticket == ticket.id, TicketHistory.what.in_(("opened", "amended")))
            .order_by(TicketHistory.place.desc())
            .limit(1)
        )
        return next((int(d.get("events", 1)) for d in entries), 1)

    def _recur(self, finding: FindingRow, old: Ticket) -> None:
        if self.policy.opens(finding):
            self._open(finding, old)
        else:
            self._amend(finding, old)

    def _merge(self, gone: FindingRow, ticket: Ticket) -> None:
        survivor = self.session.get_one(FindingRow, gone.merged_into)
        while survivor.merged_into:
            survivor = self.session.get_one(FindingRow, survivor.merged_into)
        if self._ticket_of(survivor) is None:
            self.take(survivor)
        main = self._ticket_of(survivor)
        if main is not None and main.id == ticket.id:
            self._amend(survivor, ticket)
        elif main is None or (main.closed is not None and ticket.closed is None):
            # the survivor opened none, or its ticket is closed: this one goes on with the episode
            self._link(survivor, ticket)
            ticket.follows = main.id if main else ticket.follows
            detail = {"finding": survivor.id, "absorbed": gone.id}
            self._record(ticket, "linked", detail | ({"follows": main.number} if main else {}))
            if main is not None:
                self._record(main, "linked", {"followed_by": ticket.number})
            self._amend(survivor, ticket)
        elif ticket.duplicate_of != main.id:
            self._close_as_duplicate(gone, ticket, main)

    def _close_as_duplicate(self, gone: FindingRow, ticket: Ticket, main: Ticket) -> None:
        ticket.duplicate_of = main.id
        detail = {"duplicate_of": main.number, "finding": gone.id}
        if ticket.closed is None:
            ticket.status, ticket.closed = TicketStatus.CLOSED.value, self.now
            ticket.reason = ClosingReason.DUPLICATE.value
            ticket.revision += 1
            self._record(ticket, "closed", {"reason": ticket.reason} | detail)
        else:
            self._record(ticket, "linked", detail)
        self._record(main, "linked", {"duplicate": ticket.number, "finding": gone.id})

    def _record(self, ticket: Ticket, what: str, detail: dict[str, object]) -> None:
        record(self.session, ticket, what, by=SYSTEM.name, at=self.now, detail=detail)
