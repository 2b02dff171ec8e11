"""What becomes of a finding: the ticket that it opens, shares, follows, or joins to another.

    finding               its ticket        what happens
    new, opens tickets    none              into the open ticket of its agency and entity that holds a finding
                                            within the gap; where there is none, a ticket of its own, which says
                                            which closed one it follows; in a storm, under the storm's ticket
    lies near several     open              the younger tickets are closed as duplicates of the oldest
    amended               open              the ticket's figures follow
    amended               closed            the same; but events later than the closing are a recurrence:
                                            it goes where a new one would, and that ticket follows the old one
    taken back            as amended        its history says so; one that lost all its events opens none
    merged into another   its own, open     closed as duplicate of the other's ticket, if nothing else holds it;
                                            where that is closed already, it follows it and takes the finding

Invariants: a finding is in at most one ticket, every living finding that opens tickets is in one. As long
as nobody closes, merges or parts tickets by hand and no storm blows, which findings share a ticket is a
function of their set: the parts of it that lie within the gap of each other, whatever their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.detect.correlations.correlation import CENTRE
from pipeline.model.detections import Level
from pipeline.model.ids import new_id
from pipeline.model.scope import SYSTEM
from pipeline.model.tickets import TicketStatus
from pipeline.state.state import counter
from pipeline.state.tables.detection import FindingRow
from pipeline.state.tables.operation import Counter, Meta
from pipeline.state.tables.register import Agency
from pipeline.state.tables.tickets import RulePrecision, Ticket, TicketFinding
from pipeline.tickets.entities import entity_key, is_drill
from pipeline.tickets.figures import STORM, begin, refresh
from pipeline.tickets.history import MIRRORS, record
from pipeline.tickets.merging import join
from pipeline.tickets.policy import Policy

TICKET_NUMBERS: Final = "ticket"
DETECTION: Final = "detection"


class Desk:
    """One batch within one transaction. `finish` brings the figures of the touched tickets up to date. What every
    finding of the batch asks for is read once, and held."""

    def __init__(
        self, session: Session, now: datetime, policy: Policy, batch: Sequence[FindingRow] = ()
    ) -> None:
        self.session, self.now, self.policy = session, now, policy
        self.opened = 0
        self._numbers: Counter | None = None
        self._last = 0  # of the tickets' numbers
        self._batch = {finding.id for finding in batch}
        self._links = {
            link.finding: link
            for link in session.scalars(
                sa.select(TicketFinding).where(TicketFinding.finding.in_(self._batch))
            )
        }
        agencies = sa.select(Agency).where(Agency.id.in_({one.agency for one in batch}))
        self._held = (session.get(Meta, MIRRORS), *session.scalars(agencies))
        rules = sa.select(RulePrecision).where(RulePrecision.rule.in_({one.rule for one in batch}))
        self._verdicts = {(one.rule, one.agency): one for one in session.scalars(rules)}
        self._touched: dict[str, Ticket] = {}
        self._alone: set[str] = set()  # opened in this batch, and nothing has come to them since
        self._drills: dict[str, bool] = {}
        self._lost: dict[str, int] = {}  # events that findings of a ticket have lost

    def take(self, finding: FindingRow) -> None:
        link = self._link_of(finding.id)
        if finding.merged_into:
            if link is not None and not link.gone:
                self._absorbed(finding, link)
        elif link is not None:
            self._amend(finding, link)
        elif finding.count and self.policy.opens(finding):
            self._place(finding, None)

    def _link_of(self, finding: str) -> TicketFinding | None:
        if finding in self._batch:
            return self._links.get(finding)
        return self.session.get(TicketFinding, finding)

    def finish(self) -> None:
        for ticket in self._touched.values():
            if ticket.id in self._alone:
                begin(self.session, ticket, now=self.now, verdicts=self._verdicts)
            else:
                refresh(self.session, ticket, now=self.now, lost=self._lost.get(ticket.id, 0))
        self._touched.clear()
        self._lost.clear()
        if self._numbers is not None:
            self._numbers.value = self._last

    def _is_drill(self, finding: FindingRow) -> bool:
        if finding.agency == CENTRE:  # each speaks of other agencies
            return is_drill(self.session, finding)
        if finding.agency not in self._drills:
            self._drills[finding.agency] = is_drill(self.session, finding)
        return self._drills[finding.agency]

    def _ticket(self, ticket_id: str) -> Ticket:
        return self.session.get_one(Ticket, ticket_id, with_for_update=True)

    def _place(self, finding: FindingRow, follows: Ticket | None) -> None:
        """Into the ticket that it shares, the storm's, or one of its own."""
        drill = self._is_drill(finding)
        near = self._near(finding, drill=drill)
        if near:
            self._link(finding, near[0], opener=False)
            self._follow(near[0], follows, finding)
            self._join(near, finding)
        elif self._stormy(finding):
            storm = self._storm(finding, drill=drill)
            self._link(finding, storm, opener=True)
            self._follow(storm, follows, finding)
        else:
            ticket = self._open(finding, drill=drill)
            if follows is not None:
                self._follow(ticket, follows, finding)
            elif (earlier := self._earlier(finding, drill=drill)) is not None:
                ticket.follows = earlier.id
                self._record(ticket, "linked", {"follows": earlier.number})
                self._record(earlier, "linked", {"followed_by": ticket.number})

    def _near(self, finding: FindingRow, *, drill: bool) -> list[Ticket]:
        """The open tickets of its agency and entity with a finding within the gap; the one to share first."""
        self.session.flush()
        gap = self.policy.gap
        held = sa.select(TicketFinding.ticket).where(
            TicketFinding.agency == finding.agency,
            TicketFinding.entity_key == entity_key(finding.entity, finding.rule),
            TicketFinding.last >= finding.first - gap,
            TicketFinding.first <= finding.last + gap,
            TicketFinding.gone.is_(False),
        )
        return list(
            self.session.scalars(
                sa.select(Ticket)
                .where(
                    Ticket.id.in_(held),
                    Ticket.closed.is_(None),
                    Ticket.kind == DETECTION,
                    Ticket.drill == drill,
                )
                .order_by(Ticket.apart, Ticket.number)
                .with_for_update()
            )
        )

    def _join(self, near: Sequence[Ticket], finding: FindingRow) -> None:
        """The finding lies near several: they are one piece of work, but for those parted by hand."""
        main, *others = near
        for other in others:
            if not other.apart:
                detail = {"finding": finding.id}
                join(self.session, other, main, by=SYSTEM.name, now=self.now, detail=detail)
                self._touched.pop(other.id, None)
                self._alone.discard(main.id)

    def _stormy(self, finding: FindingRow) -> bool:
        """Whether findings of its rule at its agency have needed too many tickets just before it was made."""
        if not self.policy.storm:
            return False
        recent = (
            sa.select(TicketFinding.finding)
            .where(
                TicketFinding.agency == finding.agency,
                TicketFinding.rule == finding.rule,
                TicketFinding.opener.is_(True),
                TicketFinding.created > finding.created - self.policy.storm_span,
                TicketFinding.created <= finding.created,
            )
            .limit(self.policy.storm)
        )
        found = self.session.scalar(sa.select(sa.func.count()).select_from(recent.subquery())) or 0
        return found >= self.policy.storm

    def _storm(self, finding: FindingRow, *, drill: bool) -> Ticket:
        """The open ticket of this rule's storm at this agency."""
        ticket = self.session.scalar(
            sa.select(Ticket)
            .where(
                Ticket.kind == STORM,
                Ticket.agency == finding.agency,
                Ticket.entity_key == entity_key("", finding.rule),
                Ticket.drill == drill,
                Ticket.closed.is_(None),
            )
            .order_by(Ticket.number)
            .limit(1)
            .with_for_update()
        )
        if ticket is not None:
            return ticket
        ticket = self._new(finding, STORM, drill=drill)
        detail = {"storm": self.policy.storm, "rule": finding.rule, "events": finding.count}
        self._record(ticket, "opened", detail, first=True)
        return ticket

    def _earlier(self, finding: FindingRow, *, drill: bool) -> Ticket | None:
        """The closed ticket that a new one follows: of this entity, with a finding of this rule or near it."""
        self.session.flush()
        near = sa.and_(
            TicketFinding.last >= finding.first - self.policy.gap,
            TicketFinding.first <= finding.last + self.policy.gap,
        )
        key = entity_key(finding.entity, finding.rule)
        held = sa.select(TicketFinding.ticket).where(
            TicketFinding.agency == finding.agency,
            TicketFinding.entity_key == key,
            sa.or_(TicketFinding.rule == finding.rule, near),
        )
        return self.session.scalar(
            sa.select(Ticket)
            .where(
                Ticket.agency == finding.agency,
                Ticket.entity_key == key,
                sa.or_(Ticket.rule == finding.rule, Ticket.id.in_(held)),
                Ticket.drill == drill,
                Ticket.closed.is_not(None),
                Ticket.duplicate_of == "",
            )
            .order_by(Ticket.closed.desc(), Ticket.number.desc())
            .limit(1)
        )

    def _open(self, finding: FindingRow, *, drill: bool) -> Ticket:
        ticket = self._new(finding, DETECTION, drill=drill)
        self._link(finding, ticket, opener=True)
        detail = {"finding": finding.id, "rule": finding.rule, "revision": finding.revision}
        self._record(ticket, "opened", detail | {"events": finding.count}, first=True)
        self._alone.add(ticket.id)
        return ticket

    def _new(self, finding: FindingRow, kind: str, *, drill: bool) -> Ticket:
        entity = "" if kind == STORM else finding.entity
        ticket = Ticket(
            id=new_id(),
            number=self._number(),
            kind=kind,
            agency=finding.agency,
            drill=drill,
            rule=finding.rule,
            title=finding.title,
            entity=entity,
            entity_key=entity_key(entity, finding.rule),
            severity=finding.level,
            severity_rank=Level(finding.level).rank,
            status=TicketStatus.NEW.value,
            first=finding.first,
            last=finding.last,
            events=finding.count,
            findings=1,
            rules=1,
            opened=self.now,
            changed=self.now,
        )
        self.session.add(ticket)
        self.session.flush()
        self.opened += 1
        return ticket

    def _number(self) -> int:
        """The next one; its counter is locked until the batch commits, and read once."""
        if self._numbers is None:
            self._numbers = counter(self.session, TICKET_NUMBERS)
            self._last = self._numbers.value
        self._last += 1
        return self._last

    def _link(self, finding: FindingRow, ticket: Ticket, *, opener: bool) -> None:
        link = TicketFinding(
            finding=finding.id,
            ticket=ticket.id,
            home=ticket.id,
            agency=finding.agency,
            rule=finding.rule,
            entity_key=entity_key(finding.entity, finding.rule),
            created=finding.created,
            opener=opener,
            gone=False,
            added=self.now,
        )
        _copy(link, finding)
        if finding.id in self._batch and finding.id not in self._links:
            self.session.add(link)
            self._links[finding.id] = link
        else:
            self._links[finding.id] = self.session.merge(link)
        self.session.flush()
        self._touch(ticket)

    def _touch(self, ticket: Ticket) -> None:
        self._touched[ticket.id] = ticket
        self._alone.discard(ticket.id)

    def _follow(self, ticket: Ticket, old: Ticket | None, finding: FindingRow) -> None:
        """The ticket takes a finding on from a closed one, which goes on showing it."""
        if old is None:
            return
        if not ticket.follows and old.id != ticket.id:
            ticket.follows = old.id
        self._record(ticket, "linked", {"follows": old.number, "finding": finding.id})
        self._record(old, "linked", {"followed_by": ticket.number, "finding": finding.id})

    def _amend(self, finding: FindingRow, link: TicketFinding) -> None:
        ticket = self._ticket(link.ticket)
        lost = finding.undone - link.undone
        if lost:
            self._lost[ticket.id] = self._lost.get(ticket.id, 0) + lost
        _copy(link, finding)
        self._touch(ticket)
        if link.gone:
            return
        if ticket.closed is not None:
            if finding.last > ticket.closed and self.policy.opens(finding):
                self._place(finding, ticket)
        elif ticket.kind == DETECTION and not ticket.apart:
            self._join(self._near(finding, drill=ticket.drill), finding)

    def _absorbed(self, gone: FindingRow, link: TicketFinding) -> None:
        survivor = self.session.get_one(FindingRow, gone.merged_into)
        while survivor.merged_into:
            survivor = self.session.get_one(FindingRow, survivor.merged_into)
        link.gone = True
        ticket = self._ticket(link.ticket)
        self._touch(ticket)
        kept = self._link_of(survivor.id)
        main = self._ticket(kept.ticket) if kept else None
        if main is None or (main.closed is not None and ticket.closed is None):
            # the survivor opened none, or its ticket is closed: this one goes on with the episode
            self._link(survivor, ticket, opener=False)
            self._follow(ticket, main, survivor)
        self.take(survivor)
        ticket, main = self._ticket(link.ticket), self._ticket_of(survivor)
        if main.id != ticket.id and not ticket.duplicate_of and not self._holds_more(ticket):
            detail = {"finding": gone.id}
            join(self.session, ticket, main, by=SYSTEM.name, now=self.now, detail=detail)
            self._touched.pop(ticket.id, None)
            self._alone.discard(main.id)

    def _ticket_of(self, finding: FindingRow) -> Ticket:
        link = self._link_of(finding.id)
        assert link is not None
        return self._ticket(link.ticket)

    def _holds_more(self, ticket: Ticket) -> bool:
        """Whether it holds another living finding."""
        self.session.flush()
        query = sa.select(TicketFinding.finding).where(
            TicketFinding.ticket == ticket.id, TicketFinding.gone.is_(False)
        )
        return self.session.scalar(query.limit(1)) is not None

    def _record(
        self, ticket: Ticket, what: str, detail: dict[str, Any], *, first: bool = False
    ) -> None:
        record(self.session, ticket, what, by=SYSTEM.name, at=self.now, detail=detail, first=first)


def _copy(link: TicketFinding, finding: FindingRow) -> None:
    """What the link says of its finding, as it is now."""
    link.rank = Level(finding.level).rank
    link.first, link.last, link.events = finding.first, finding.last, finding.count
    link.undone = finding.undone
    link.gone = bool(finding.merged_into) or not finding.count
