"""Times in which records of a source may have been lost before they came: what no detection could see.

In: an actor, a question (source, agency, event times). Out: `OutageLine` values, the newest first. Collectors write
them down (`state/tables/register.py`, `Outage`). Nodes are the centre's business: who is held to some agencies
reads the times and causes alone.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
import sqlalchemy as sa

from pipeline.access.permissions import scope_for
from pipeline.access.scoping import within
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.register import Outage, Source


class OutageLine(msgspec.Struct, frozen=True):
    """`cause`: killed, stopped, expired or missed; `lost` pieces are known to be lost, 0: nobody can count."""

    node: str
    source: str
    agency: str
    begun: datetime
    ended: datetime
    cause: str
    lost: int = 0


def outages(
    state: State,
    actor: Actor,
    *,
    source: str = "",
    agency: str = "",
    start: datetime | None = None,
    stop: datetime | None = None,
    limit: int = 50,
) -> list[OutageLine]:
    """Of sources in the actor's scope, as far as they touch the time from `start` to `stop`."""
    scope = scope_for(actor, "source.read")
    chosen = (
        sa.select(Outage, Source.agency)
        .join(Source, Source.id == Outage.source)
        .where(within(Source.agency, scope))
        .order_by(Outage.ended.desc(), Outage.id)
        .limit(limit)
    )
    if source:
        chosen = chosen.where(Outage.source == source)
    if agency:
        chosen = chosen.where(Source.agency == agency)
    if start is not None:
        chosen = chosen.where(Outage.ended >= start)
    if stop is not None:
        chosen = chosen.where(Outage.begun < stop)
    with state.read() as session:
        rows = session.execute(chosen).all()
    whole = scope.agencies is None
    return [
        OutageLine(
            row.node if whole else "", row.source, owner, row.begun, row.ended, row.cause, row.lost
        )
        for row, owner in rows
    ]
