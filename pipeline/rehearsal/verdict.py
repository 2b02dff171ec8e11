"""Holds the tickets that came against those that the stories demand, and says plainly what differs.

Compared are rule, agency, entity and the multiset of the events' `event.original`; ids, numbers and
times of opening are not, for they differ from run to run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from pipeline.model import fold
from pipeline.model.scope import Scope
from pipeline.rehearsal.lines import ExpectedTicket
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingEvent, FindingRow
from pipeline.state.tables.tickets import Ticket, TicketFinding
from pipeline.store.base import Store

_GET = 500


@dataclass(frozen=True, slots=True, order=True)
class Seen:
    """One finding of a drill's ticket. `entity` is folded (`fold.entity`); `originals` is sorted, repeats kept."""

    rule: str
    agency: str
    entity: str
    originals: tuple[str, ...]


def seen_tickets(state: State, store: Store) -> list[Seen]:
    """What the drill's tickets hold now, a finding each, absorbed and withdrawn ones left out."""
    with state.read() as session:
        findings = session.execute(
            sa.select(FindingRow.id, FindingRow.rule, FindingRow.agency, FindingRow.entity_key)
            .join(TicketFinding, TicketFinding.finding == FindingRow.id)
            .join(Ticket, Ticket.id == TicketFinding.ticket)
            .where(
                Ticket.drill.is_(True),
                FindingRow.merged_into == "",
                FindingRow.count > 0,
            )
        ).all()
        events = {
            finding.id: [
                event.hex()
                for event in session.scalars(
                    sa.select(FindingEvent.event).where(FindingEvent.finding == finding.id)
                )
            ]
            for finding in findings
        }
    ids = sorted({event for ids in events.values() for event in ids})
    texts = _originals(store, ids)
    return sorted(
        Seen(
            f.rule,
            f.agency,
            f.entity_key,
            tuple(sorted(texts.get(event, "?") for event in events[f.id])),
        )
        for f in findings
    )


def _originals(store: Store, ids: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for start in range(0, len(ids), _GET):
        for document in store.get(ids[start : start + _GET], scope=Scope.everything()):
            event = document["event"]
            found[event["id"]] = event["original"]
    return found


def differences(seen: Iterable[Seen], expected: Iterable[ExpectedTicket]) -> list[str]:
    """One line a difference, for people; empty when the tickets are exactly the expected ones."""
    have = Counter(seen)
    want = Counter(Seen(t.rule, t.agency, fold.entity(t.entity), t.originals) for t in expected)
    lost, extra = list((want - have).elements()), list((have - want).elements())
    found: list[str] = []
    for ticket in lost:
        twin = next((other for other in extra if _place(other) == _place(ticket)), None)
        if twin is None:
            found.append(f"missing: {_told(ticket)}")
            continue
        extra.remove(twin)
        gone, come = Counter(ticket.originals), Counter(twin.originals)
        found.append(
            f"other events: {_told(ticket)}; {(gone - come).total()} missing, {(come - gone).total()} too many"
        )
    return [*found, *(f"unexpected: {_told(ticket)}" for ticket in extra)]


def _place(ticket: Seen) -> tuple[str, str, str]:
    return ticket.rule, ticket.agency, ticket.entity


def _told(ticket: Seen) -> str:
    first = f" ({ticket.originals[0][:120]})" if ticket.originals else ""
    return (
        f"rule {ticket.rule}, agency {ticket.agency}, entity {ticket.entity}, "
        f"{len(ticket.originals)} events{first}"
    )
