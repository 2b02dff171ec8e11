"""Times in which a collector was not there, for each source that its sender cannot be told of.

In, at a collector's start: the pulse that its earlier life left. Out: a row per source that sends by plain TCP
or UDP, from the last sign of life to now: what was sent meanwhile may be lost, at most what socket buffers held
of TCP, and all of UDP. What is acknowledged (RELP, HTTP) waits with its sender and has no outage. And, while it
works: what the collector itself knows to be lost (an API that no longer had what it had announced).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from collectors.receivers.counters import Loss
from pipeline.state.state import State
from pipeline.state.tables.operation import Pulse
from pipeline.state.tables.register import Outage, SourceSeen

AT_WORK: Final = timedelta(
    days=1
)  # a source silent for longer had nothing to lose, as far as we know
_LOSING: Final = ("delivery.plain", "delivery.best_effort")


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


def note_losses(state: State, node: str, losses: Sequence[Loss]) -> None:
    """What a collector knows to be lost. It may say so again after a restart: that is the same outage."""
    with state.begin() as session:
        for one in losses:
            same = (
                Outage.source == one.source, Outage.begun == one.begun, Outage.ended == one.ended,
                Outage.cause == one.cause,
            )  # fmt: skip
            if session.scalar(sa.select(Outage.id).where(*same)) is None:
                session.add(
                    Outage(
                        node=node, source=one.source, begun=one.begun, ended=one.ended,
                        cause=one.cause, lost=one.lost,
                    )
                )  # fmt: skip
