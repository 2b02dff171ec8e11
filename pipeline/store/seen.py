"""What settling saw of each source: when its newest event happened, and when its newest record came.

In: the tables of a commit that stands. Out: one row a source in `source_seen`, under the node `normalise`. Only
for people and for health: a crash before it loses a sign of life, never an event.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

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
            columns = (
                SourceSeen.source, SourceSeen.id, SourceSeen.last_event, SourceSeen.last_received,
            )  # fmt: skip
            chosen = sa.select(*columns).where(
                SourceSeen.node == NODE, SourceSeen.source.in_(sorted(newest))
            )
            moved: list[dict[str, Any]] = []
            for source, number, event, record in session.execute(chosen):
                happened, received = newest.pop(source)
                moved.append(
                    {"id": number, "last_event": max(happened, event or happened),
                     "last_received": max(received, record or received)}
                )  # fmt: skip
            if moved:
                session.execute(sa.update(SourceSeen), moved)
            session.add_all(
                SourceSeen(source=source, node=NODE, counters={}, last_event=happened, last_received=received)
                for source, (happened, received) in newest.items()
            )  # fmt: skip
    except IntegrityError:
        return  # another normaliser wrote the first row; the next commit updates it


def _newest(tables: Iterable[pa.Table]) -> dict[str, tuple[datetime, datetime]]:
    import pyarrow as pa

    parts = [table.select([events.SOURCE, events.TIME, events.CREATED]) for table in tables]
    if not parts:
        return {}
    latest = [(events.TIME, "max"), (events.CREATED, "max")]
    grouped = pa.concat_tables(parts).group_by(events.SOURCE).aggregate(latest)
    return {
        row[events.SOURCE]: (row[f"{events.TIME}_max"], row[f"{events.CREATED}_max"])
        for row in grouped.to_pylist()
        if None not in row.values()
    }
