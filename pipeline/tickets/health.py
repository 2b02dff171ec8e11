"""A ticket that is one health condition of a source: opened for the agency's officers, closed by the system.

    source bn-fw is silent ─▶ #12 (health, waits for the agency) ─▶ closed as *recovered*, or by people before that

In: a source with a condition. Out: tickets with history, within the caller's transaction. They have no findings and no
clocks; who claims one keeps it, and it closes all the same when the source is well.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.model.detections import Level
from pipeline.model.ids import content_hash, new_id
from pipeline.model.scope import SYSTEM
from pipeline.model.tickets import ClosingReason, TicketStatus
from pipeline.state.state import next_number
from pipeline.state.tables.register import Agency, Source
from pipeline.state.tables.tickets import Ticket
from pipeline.tickets.figures import begin
from pipeline.tickets.history import record

KIND: Final = "health"
NUMBERS: Final = "ticket"
TITLES: Final = {
    "silent": "Nguồn im lặng · Source is silent",
    "lag": "Sự kiện đến muộn · Events come late",
    "behind": "Đồng hồ của nguồn chạy chậm, hoặc khai sai múi giờ · The source's clock is behind, or its zone declared wrong",
    "skew": "Đồng hồ của nguồn chạy trước · The source's clock is ahead",
    "failing": "Nhiều bản ghi không đọc được · Many records cannot be read",
    "volume": "Lượng bản ghi khác thường · An unusual number of records",
    "resent": "Nhiều bản ghi gửi lại · Many records are sent again",
}


def open_ticket(
    session: Session, source: Source, condition: str, figures: dict[str, Any], *,
    began: datetime, now: datetime,
) -> str:  # fmt: skip
    """The new ticket's id. It follows the last one of the same condition."""
    agency = session.get_one(Agency, source.agency)
    key = content_hash(KIND, source.id, condition)
    before = session.scalar(
        sa.select(Ticket)
        .where(Ticket.agency == source.agency, Ticket.entity_key == key, Ticket.kind == KIND)
        .order_by(Ticket.number.desc())
        .limit(1)
    )
    ticket = Ticket(
        id=new_id(), number=next_number(session, NUMBERS), kind=KIND, agency=source.agency,
        drill=agency.drill, rule=f"{KIND}:{condition}", title=f"{TITLES[condition]}: {source.name}",
        entity=source.id, entity_key=key, severity=Level.MEDIUM.value,
        severity_rank=Level.MEDIUM.rank, status=TicketStatus.WAITING.value, waiting_for="agency",
        first=began, last=now, events=0, findings=0, rules=0, opened=now, changed=now,
        follows=before.id if before is not None else "",
    )  # fmt: skip
    session.add(ticket)
    session.flush()
    detail: dict[str, Any] = {"condition": condition, "source": source.id, "figures": figures}
    if before is not None:
        detail["follows"] = before.number
    record(session, ticket, "opened", by=SYSTEM.name, at=now, detail=detail)
    begin(session, ticket, now=now)
    return ticket.id


def recover(session: Session, ticket_id: str, *, now: datetime) -> None:
    """The source is well: close the ticket, unless people have done so."""
    ticket = session.get(Ticket, ticket_id, with_for_update=True)
    if ticket is None or ticket.closed is not None:
        return
    ticket.status, ticket.waiting_for = TicketStatus.CLOSED.value, ""
    ticket.reason, ticket.closed, ticket.last = ClosingReason.RECOVERED.value, now, now
    ticket.owner_until = None
    ticket.revision += 1
    detail = {"reason": ticket.reason}
    record(session, ticket, "closed", by=SYSTEM.name, at=now, detail=detail)
