"""Times in which a collector was not there, for each source that its sender cannot be told of.

In, at a collector's start: the pulse that its earlier life left. Out: a row per source that sends by plain TCP
or UDP, from the last sign of life to now: what was sent meanwhile may be lost, at most what socket buffers held
of TCP, and all of UDP. What is acknowledged (RELP, HTTP) waits with its sender and has no outage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from pipeline.state.state import State
from pipeline.state.tables.operation import Pulse
from pipeline.state.tables.register import Outage, Source, SourceSeen

AT_WORK: Final = timedelta(
    days=1
)  # a source silent for longer had nothing to lose, as far as we know
_LOSING: Final = ("delivery.plain", "delivery.best_effort")


@dataclass(frozen=True, slots=True)
class OutageLine:
    """`cause`: killed, or stopped in order."""

    node: str
    source: str
    agency: str
    begun: datetime
    ended: datetime
    cause: str


def note_outage(state: State, node: str, *, now: datetime, role: str = "collect") -> int:
    """Write down what the node's earlier life left open; for how many sources. Call before the first beat."""
    with state.begin() as session:
        pulse = session.get(Pulse, (role, node))
        if pulse is None or pulse.beat >= now:
            return 0
        cause = "stopped" if pulse.detail.get("stopped") else "killed"
        seen = session.scalars(
            sa.select(SourceSeen).where(
                SourceSeen.node == node, SourceSeen.last_received > pulse.beat - AT_WORK
            )
        )
        losing = [one.source for one in seen if any(one.counters.get(name) for name in _LOSING)]
        session.add_all(
            Outage(node=node, source=source, begun=pulse.beat, ended=now, cause=cause)
            for source in losing
        )
    return len(losing)


def outages(state: State, *, limit: int = 50) -> Sequence[OutageLine]:
    """The newest first."""
    with state.read() as session:
        rows = session.execute(
            sa.select(Outage, Source.agency)
            .outerjoin(Source, Source.id == Outage.source)
            .order_by(Outage.ended.desc(), Outage.id)
            .limit(limit)
        ).all()
        return [
            OutageLine(row.node, row.source, agency or "", row.begun, row.ended, row.cause)
            for row, agency in rows
        ]
