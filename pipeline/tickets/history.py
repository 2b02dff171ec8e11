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
_PLACE: Final = sa.select(sa.func.max(TicketHistory.place)).where(
    TicketHistory.ticket == sa.bindparam("ticket")
)


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
    place = 1 if first else _last_place(session, ticket) + 1
    session.add(
        TicketHistory(
            ticket=ticket.id, place=place, what=what, by=by, at=at, text=text, detail=detail or {},
        )
    )  # fmt: skip
    ticket.changed = at
    known = _mirrors(session) if tell else {}
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


def _mirrors(session: Session) -> dict[str, list[str]]:
    """Read once in a transaction: nobody else writes meanwhile."""
    if MIRRORS not in session.info:
        with session.no_autoflush:
            row = session.get(Meta, MIRRORS)
        session.info[MIRRORS] = row.value if row else {}
    known: dict[str, list[str]] = session.info[MIRRORS]
    return known


def _last_place(session: Session, ticket: Ticket) -> int:
    """Of the lines that stand, and of those that this transaction has still to write: it writes once, at its end."""
    new = [
        one.place
        for one in session.new
        if isinstance(one, TicketHistory) and one.ticket == ticket.id
    ]
    if new:
        return max(new)
    return session.connection().execute(_PLACE, {"ticket": ticket.id}).scalar() or 0


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
