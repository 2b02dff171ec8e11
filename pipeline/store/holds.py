"""Legal holds: what must not be deleted, whatever its age and however full the disk.

In: an agency and two times. Out: a `Hold`, which every store spares the events of (`@timestamp` between the
two). Placing and releasing are recorded in the access log; a hold is released, never removed.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from pipeline.access.log import record
from pipeline.access.permissions import require, scope_for
from pipeline.model.clock import to_iso
from pipeline.model.errors import ConflictError, NotFoundError, UsageError
from pipeline.model.ids import new_id
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.lake import Hold
from pipeline.state.tables.register import Agency


def place_hold(
    state: State,
    actor: Actor,
    *,
    agency: str,
    first: datetime,
    last: datetime,
    reason: str,
    now: datetime,
) -> str:
    """The new hold's id. In force from the next deletion on."""
    require(actor, "hold.write", agency)
    if last < first:
        raise UsageError("the hold ends before it begins", got=f"{to_iso(first)}, {to_iso(last)}")
    if not reason.strip():
        raise UsageError("a hold needs a reason", remedy="name the order or the case")
    hold = new_id()
    with state.begin() as session:
        if session.get(Agency, agency) is None:
            raise NotFoundError("there is no such agency", got=agency)
        session.add(
            Hold(
                id=hold, agency=agency, first_time=first, last_time=last, reason=reason.strip(),
                by=actor.name, at=now,
            )
        )  # fmt: skip
        detail = f"{hold} {agency} {to_iso(first)} {to_iso(last)}: {reason.strip()}"
        record(session, actor.name, "hold.placed", detail, now=now)
    return hold


def release_hold(state: State, actor: Actor, hold: str, *, now: datetime) -> None:
    """Let go. ConflictError if it is released already."""
    with state.begin() as session:
        row = session.get(Hold, hold)
        if row is None:
            raise NotFoundError("there is no such hold", got=hold)
        require(actor, "hold.write", row.agency)
        if row.released is not None:
            raise ConflictError("the hold is released already", got=to_iso(row.released))
        row.released = now
        record(session, actor.name, "hold.released", f"{hold} {row.agency}", now=now)


def list_holds(state: State, actor: Actor, *, released: bool = False) -> list[Hold]:
    """Those in force (with `released`, all), the newest first."""
    scope = scope_for(actor, "operation.read")
    chosen = sa.select(Hold).order_by(Hold.at.desc())
    if not released:
        chosen = chosen.where(Hold.released.is_(None))
    if scope.agencies is not None:
        chosen = chosen.where(Hold.agency.in_(scope.agencies))
    with state.read() as session:
        return list(session.scalars(chosen))
