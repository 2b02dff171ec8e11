"""What else the entity of a ticket did: its events of every source, from an hour before the ticket's to an hour after.

In: a ticket that the reader may read, the store, the key of a page. Out: a page of documents, the newest first, and the
query that finds them (for going on in the search). Bounded: a page at a time, two weeks at the most (the last ones);
within the ticket's agency, of a ticket of the centre within what the reader may see.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from pipeline.access.permissions import scope_for
from pipeline.detect.correlations.correlation import CENTRE
from pipeline.model import events
from pipeline.model.documents import term
from pipeline.model.scope import Actor, Scope
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingRow
from pipeline.state.tables.tickets import TicketFinding
from pipeline.store.base import SearchableStore, TimeRange
from pipeline.tickets.deeds import find

AROUND: Final = timedelta(hours=1)
LONGEST: Final = timedelta(days=14)
PAGE: Final = 50
_OF_ADDRESS: Final = ("related.ip", "source.ip", "destination.ip", "host.ip")
_OF_NAME: Final = ("host.name", "related.hosts", "user.name", "related.user")


class Timeline(msgspec.Struct, frozen=True):
    """`own`: ids of events that the ticket's findings show. `cut`: the ticket spans more than is shown."""

    number: int
    entity: str
    query: str
    start: datetime
    stop: datetime
    cut: bool
    documents: tuple[dict[str, Any], ...]
    own: frozenset[str]
    next: str | None


def timeline(
    state: State, store: SearchableStore, actor: Actor, ref: str, *, after: str | None = None
) -> Timeline:
    """NotFoundError and ForbiddenError as for the ticket and for searching."""
    reach = scope_for(actor, "event.search")
    with state.read() as session:
        ticket = find(session, actor, ref, "ticket.read")
        rows = session.execute(
            sa.select(FindingRow.entity_field, FindingRow.samples)
            .join(TicketFinding, TicketFinding.finding == FindingRow.id)
            .where(TicketFinding.ticket == ticket.id)
            .order_by(FindingRow.last.desc())
            .limit(50)
        ).all()
    fields = dict.fromkeys(row.entity_field for row in rows if row.entity_field)
    own = frozenset(str(sample["event"]) for row in rows for sample in row.samples)
    stop, start = ticket.last + AROUND, ticket.first - AROUND
    cut = stop - start > LONGEST
    if cut:
        start = stop - LONGEST
    query = events.SOURCE if ticket.kind == "health" else ""
    query = term(query, ticket.entity) if query else query_of(ticket.entity, list(fields))
    if not query:
        return Timeline(ticket.number, "", "", start, stop, cut, (), own, None)
    scope = reach if ticket.agency == CENTRE else Scope.of(ticket.agency)
    page = store.search(query, scope=scope, when=TimeRange(start, stop), limit=PAGE, after=after)
    return Timeline(
        ticket.number, ticket.entity, query, start, stop, cut, tuple(page.documents), own, page.next
    )


def query_of(entity: str, fields: Sequence[str]) -> str:
    """Events that speak of the entity, whatever field their source puts it in; nothing for no entity."""
    if not entity.strip():
        return ""
    try:
        ipaddress.ip_address(entity.strip())
        known: tuple[str, ...] = _OF_ADDRESS
    except ValueError:
        known = _OF_NAME
    wanted = dict.fromkeys((*known, *(f for f in fields if not f.endswith(".ip"))))
    return " OR ".join(term(field, entity.strip()) for field in wanted)
