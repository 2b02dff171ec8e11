"""How collecting stands: each node's spool and ports, each source's counts, outages.

In: what collectors wrote to the state (their pulse, `source_seen`, `outage`). Out: plain values for
`thapcanh collect status` and the metrics. It asks no collector, so it answers when they do not. Counts only
grow; `connections` is what is open. Under no source: what cannot be laid at a source's door (a kernel's drops).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from collectors import groups
from pipeline.state.state import State
from pipeline.state.tables.intake import Settlement
from pipeline.state.tables.operation import Pulse
from pipeline.state.tables.register import Outage, Source, SourceSeen
from pipeline.store.seen import LEAST


@dataclass(frozen=True, slots=True)
class NodeLine:
    """`lag` counts records that are in the spool and not settled yet."""

    node: str
    beat: datetime
    stopped: bool
    spooled: int
    lag: int
    spool_bytes: int
    push_back: str
    ports: Mapping[str, int]
    unattributed: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class SourceCounts:
    node: str
    agency: str
    source: str
    last_received: datetime | None
    received: int
    acknowledged: int
    spooled: int
    repeated: int
    bytes: int
    connections: int
    dropped: Mapping[str, int]
    notes: Mapping[str, int]


def nodes(state: State) -> list[NodeLine]:
    with state.read() as session:
        marks = dict(
            session.execute(
                sa.select(Settlement.node, sa.func.max(Settlement.last)).group_by(Settlement.node)
            ).all()
        )
        pulses = session.scalars(
            sa.select(Pulse).where(Pulse.role.like(f"{groups.ROLE}%")).order_by(Pulse.node)
        ).all()
    return [_node(pulse, int(marks.get(pulse.node) or 0)) for pulse in pulses]


def _node(pulse: Pulse, settled: int) -> NodeLine:
    said = pulse.detail
    last = int(said.get("last") or 0)
    return NodeLine(
        pulse.node, pulse.beat, bool(said.get("stopped")), last, max(0, last - settled),
        int(said.get("spool_bytes") or 0), str(said.get("push_back") or ""), said.get("ports") or {},
        said.get("unattributed") or (),
    )  # fmt: skip


def sources(state: State) -> list[SourceCounts]:
    with state.read() as session:
        rows = session.execute(
            sa.select(SourceSeen, Source.agency)
            .outerjoin(Source, Source.id == SourceSeen.source)
            .order_by(Source.agency, SourceSeen.source, SourceSeen.node)
        ).all()
        return [
            _counts(seen, agency or "") for seen, agency in rows if seen.counters.keys() - {LEAST}
        ]


def outage_counts(state: State) -> list[tuple[str, str, str, int]]:
    """(agency, source, cause, how many times): `detect/reads/outages.py` has each."""
    query = (
        sa.select(Source.agency, Outage.source, Outage.cause, sa.func.count())
        .join(Source, Source.id == Outage.source)
        .group_by(Source.agency, Outage.source, Outage.cause)
        .order_by(Source.agency, Outage.source, Outage.cause)
    )
    with state.read() as session:
        return [(a, s, c, n) for a, s, c, n in session.execute(query)]


def _counts(seen: SourceSeen, agency: str) -> SourceCounts:
    counted = seen.counters

    def under(group: str) -> dict[str, int]:
        start = f"{group}."
        return {k.removeprefix(start): v for k, v in sorted(counted.items()) if k.startswith(start)}

    def count(name: str) -> int:
        return int(counted.get(name, 0))

    return SourceCounts(
        seen.node, agency, seen.source, seen.last_received, count("received"), count("acknowledged"),
        count("spooled"), count("repeated"), count("bytes"), count("connections"), under("dropped"),
        under("notes"),
    )  # fmt: skip
