"""The least lag of an hour: what no buffer explains; events without a time of their own tell nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import sqlalchemy as sa

from pipeline.model import events
from pipeline.state.state import State
from pipeline.state.tables.register import SourceSeen
from pipeline.store.seen import HOURS, LEAST, note_seen

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
_STAMP = pa.timestamp("us", tz="UTC")


def table(*rows: tuple[str, int, float]) -> pa.Table:
    """Rows of (source, minutes after `NOW` that it came, its lag in seconds)."""
    created = [NOW + timedelta(minutes=minute) for _, minute, _ in rows]
    happened = [at - timedelta(seconds=row[2]) for at, row in zip(created, rows, strict=True)]
    return pa.table(
        {
            events.SOURCE: [row[0] for row in rows],
            events.CREATED: pa.array(created, _STAMP),
            events.TIME: pa.array(happened, _STAMP),
        }
    )


def least(state: State, source: str) -> dict[str, float]:
    with state.read() as session:
        row = session.scalars(sa.select(SourceSeen).where(SourceSeen.source == source)).one()
    found: dict[str, float] = row.counters.get(LEAST, {})
    return found


def test_the_least_of_each_hour_is_kept_over_commits(state: State) -> None:
    note_seen(
        state, [table(("a", 1, 600.5), ("a", 2, 601.0), ("b", 2, 0.0)), table(("a", 61, 700))]
    )
    note_seen(state, [table(("a", 3, 599.0), ("b", 5, -30.0)), table(("b", 6, 12.0))])
    hours = [f"2026-11-24T{hour:02}:00:00.000Z" for hour in (9, 10)]
    assert least(state, "a") == {hours[0]: 599.0, hours[1]: 700.0}
    assert least(state, "b") == {hours[0]: -30.0}
    for hour in range(12):
        note_seen(state, [table(("a", 60 * hour, 1.0 + hour))])
    assert list(least(state, "a").values()) == [float(n) for n in range(13 - HOURS, 13)]
