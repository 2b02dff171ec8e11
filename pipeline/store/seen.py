"""What settling saw of each source: when its newest event happened, and when its newest record came.

In: the tables of a commit that stands. Out: one row a source in `source_seen`, under the node `normalise`. Only
for people and for health: a crash before it loses a sign of life, never an event.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from pipeline.model import events
from pipeline.state.state import State
from pipeline.state.tables.register import SourceSeen

if TYPE_CHECKING:
    import pyarrow as pa

NODE: Final = "normalise"


def note_seen(state: State, tables: Iterable[pa.Table]) -> None:
    """Move `last_event` and `last_received` of the tables' sources forward, never back."""
    newest = _newest(tables)
    if not newest:
        return
    try:
        with state.begin() as session:
            known = {
                row.source: row
                for row in session.scalars(
                    sa.select(SourceSeen).where(
                        SourceSeen.node == NODE, SourceSeen.source.in_(sorted(newest))
                    )
                )
            }
            for source, (happened, received) in newest.items():
                row = known.get(source)
                if row is None:
                    row = SourceSeen(source=source, node=NODE, counters={})
                    session.add(row)
                row.last_event = max(happened, row.last_event or happened)
                row.last_received = max(received, row.last_received or received)
    except IntegrityError:
        return  # another normaliser wrote the first row; the next commit updates it


def _newest(tables: Iterable[pa.Table]) -> dict[str, tuple[datetime, datetime]]:
    found: dict[str, tuple[datetime, datetime]] = {}
    for table in tables:
        grouped = table.group_by(events.SOURCE).aggregate(
            [(events.TIME, "max"), (events.CREATED, "max")]
        )
        for row in grouped.to_pylist():
            source, times = (
                row[events.SOURCE],
                (row[f"{events.TIME}_max"], row[f"{events.CREATED}_max"]),
            )
            if source is None or None in times:
                continue
            before = found.get(source, times)
            found[source] = (max(before[0], times[0]), max(before[1], times[1]))
    return found
