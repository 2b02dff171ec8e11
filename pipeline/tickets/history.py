"""What happened to a ticket, and who outside is to be told: both in the transaction of the deed.

Invariants: history only grows, its places count from 1 without a gap; a drill's ticket tells nobody else.
The mirrors to tell are those in the state's `meta` row `mirrors`: ``{"names": ["rt"], "drills": []}``; those of
`drills` are told of a rehearsal's tickets too.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.model.clock import to_iso
from pipeline.state.tables.operation import Meta
from pipeline.state.tables.tickets import Outbox, Ticket, TicketHistory

MIRRORS: Final = "mirrors"


def record(
    session: Session,
    ticket: Ticket,
    what: str,
    *,
    by: str,
    at: datetime,
    text: str = "",
    detail: dict[str, Any] | None = None,
    tell: bool = True,
    origin: str = "",
    first: bool = False,
) -> None:
    """Append to the history, and (unless told not to) to the outbox of every mirror but `origin`. `first`: the
    ticket has just been made."""
    last = 0
    if not first:
        session.flush()
        places = sa.select(sa.func.max(TicketHistory.place))
        last = session.scalar(places.where(TicketHistory.ticket == ticket.id)) or 0
    place = last + 1
    session.add(
        TicketHistory(
            ticket=ticket.id, place=place, what=what, by=by, at=at, text=text, detail=detail or {},
        )
    )  # fmt: skip
    ticket.changed = at
    mirrors = session.get(Meta, MIRRORS) if tell else None
    known = mirrors.value if mirrors else {}
    for mirror in known.get("drills" if ticket.drill else "names", ()):
        if mirror == origin:
            continue
        body = snapshot(ticket) | {"what": what, "by": by, "text": text, "detail": detail or {}}
        session.add(
            Outbox(
                ticket=ticket.id, mirror=mirror, what=what, key=f"{ticket.id}.{place}",
                body=body | {"at": to_iso(at)}, made=at, due=at,
            )
        )  # fmt: skip


def snapshot(ticket: Ticket) -> dict[str, Any]:
    """The ticket as a mirror needs it, by value: what it was at the deed, not at the sending."""
    return {
        "id": ticket.id,
        "number": ticket.number,
        "agency": ticket.agency,
        "title": ticket.title,
        "entity": ticket.entity,
        "severity": ticket.severity,
        "status": ticket.status,
        "owner": ticket.owner,
        "reason": ticket.reason,
        "first": to_iso(ticket.first),
        "last": to_iso(ticket.last),
        "events": ticket.events,
        "tlp": ticket.tlp,
        "drill": ticket.drill,
        "waiting_for": ticket.waiting_for,
        "duplicate_of": ticket.duplicate_of,
    }
