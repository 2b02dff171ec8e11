"""What settling saw of each source: when its newest event happened, when its newest record came, and the least lag.

In: the tables of a commit that stands. Out: one row a source in `source_seen`, under the node `normalise`. Only
for people and for health: a crash before it loses a sign of life, never an event.

The least lag of an hour (of receipt) is the shortest time between an event's own time and its receipt: what no buffer
explains when it is the same hour after hour. Kept of the last hours under ``counters[LEAST]``: hour → seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from pipeline.model import events
from pipeline.model.clock import from_micros, to_iso
from pipeline.state.state import State
from pipeline.state.tables.register import SourceSeen

if TYPE_CHECKING:
    import pyarrow as pa

NODE: Final = "normalise"
LEAST: Final = "least_lag"
HOURS: Final = 6
_HOUR: Final = 3_600_000_000


def note_seen(state: State, tables: Iterable[pa.Table]) -> None:
    """Move `last_event` and `last_received` of the tables' sources forward, never back."""
    tables = list(tables)
    newest, least = _newest(tables), _least(tables)
    if not newest:
        return
    try:
        with state.begin() as session:
            columns = (
                SourceSeen.source, SourceSeen.id, SourceSeen.last_event, SourceSeen.last_received,
                SourceSeen.counters,
            )  # fmt: skip
            chosen = sa.select(*columns).where(
                SourceSeen.node == NODE, SourceSeen.source.in_(sorted(newest))
            )
            moved: list[dict[str, Any]] = []
            for source, number, event, record, counters in session.execute(chosen):
                happened, received = newest.pop(source)
                moved.append(
                    {"id": number, "last_event": max(happened, event or happened),
                     "last_received": max(received, record or received),
                     "counters": _told(counters, least.get(source))}
                )  # fmt: skip
            if moved:
                session.execute(sa.update(SourceSeen), moved)
            session.add_all(
                SourceSeen(
                    source=source, node=NODE, counters=_told({}, least.get(source)), last_event=happened,
                    last_received=received,
                )
                for source, (happened, received) in newest.items()
            )  # fmt: skip
    except IntegrityError:
        return  # another normaliser wrote the first row; the next commit updates it


def _told(counters: Mapping[str, Any], seen: Mapping[str, float] | None) -> dict[str, Any]:
    if not seen:
        return dict(counters)
    return {**counters, LEAST: _kept(counters.get(LEAST) or {}, seen)}


def _kept(before: Mapping[str, float], seen: Mapping[str, float]) -> dict[str, float]:
    """The least of each hour, of the last hours."""
    both = {
        hour: min(seen.get(hour, math.inf), before.get(hour, math.inf)) for hour in {*before, *seen}
    }
    return {hour: both[hour] for hour in sorted(both)[-HOURS:]}


def _least(tables: Iterable[pa.Table]) -> dict[str, dict[str, float]]:
    """By source and hour of receipt. An event without a time of its own has its receipt's, and tells nothing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [table.select([events.SOURCE, events.TIME, events.CREATED]) for table in tables]
    if not parts:
        return {}
    whole = pa.concat_tables(parts)
    created, happened = (
        whole.column(name).cast(pa.int64()) for name in (events.CREATED, events.TIME)
    )
    lags = pa.table(
        {
            "source": whole.column(events.SOURCE),
            "hour": pc.divide(created, _HOUR),
            "lag": pc.subtract(created, happened),
        }
    )
    lags = lags.filter(pc.not_equal(lags.column("lag"), 0))
    found: dict[str, dict[str, float]] = {}
    for row in lags.group_by(["source", "hour"]).aggregate([("lag", "min")]).to_pylist():
        if None not in row.values():
            hour = to_iso(from_micros(row["hour"] * _HOUR))
            found.setdefault(row["source"], {})[hour] = row["lag_min"] / 1e6
    return found


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
