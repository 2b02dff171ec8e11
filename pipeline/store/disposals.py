"""What retention deleted, as it was recorded: whose events, received before when, how many, why, by whom.

In: an actor. Out: rows, the newest first, of the agencies that the actor sees.
"""

from __future__ import annotations

import sqlalchemy as sa

from pipeline.access.permissions import scope_for
from pipeline.access.scoping import within
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.operation import Disposal


def disposals(state: State, actor: Actor, *, limit: int = 100) -> list[Disposal]:
    """The newest first, of the actor's agencies."""
    scope = scope_for(actor, "operation.read")
    chosen = sa.select(Disposal).where(within(Disposal.agency, scope))
    with state.read() as session:
        newest = chosen.order_by(Disposal.at.desc(), Disposal.id.desc()).limit(limit)
        return list(session.scalars(newest))
