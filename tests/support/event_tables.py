"""Tables of made-up events for stores: rows as dotted names to values, envelopes filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from pipeline.model import events
from pipeline.model.clock import from_micros, to_micros
from pipeline.normalise.ecs import arrow_type, load_ecs
from pipeline.store.base import Commit

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
_TIMES = (events.TIME, events.CREATED, events.INGESTED)


def kind_of(name: str) -> pa.DataType:
    if name == events.ID:
        return pa.binary(16)
    if name == events.SEQUENCE:
        return pa.int64()
    if name == events.EXTRA:
        return pa.map_(pa.string(), pa.string())
    field = load_ecs().field(name)
    return arrow_type(field.kind, many=field.many)


def event_id(sequence: int, node: str = "n1") -> bytes:
    return f"{node}-{sequence}".encode().rjust(16, b"\0")


def event_table(
    rows: Sequence[Mapping[str, Any]], first: int, *, node: str = "n1", dataset: str = "test.log"
) -> pa.Table:
    """A row an event; `@timestamp` and receipt default to a second per sequence after NOW."""
    whole = []
    for sequence, row in enumerate(rows, first):
        moment = from_micros(to_micros(NOW) + sequence * 1_000_000)
        whole.append(
            {
                events.ID: event_id(sequence, node), events.NODE: node, events.SEQUENCE: sequence,
                events.AGENCY: "a", events.SOURCE: "s", events.PRODUCT: "test", events.MAPPING: "m",
                events.REPLACES: None, events.DATASET: dataset, events.TIME: moment,
                events.CREATED: row.get(events.TIME, moment), events.INGESTED: moment,
                events.ORIGINAL: "nothing", **row,
            }
        )  # fmt: skip
    names = list(dict.fromkeys(name for row in whole for name in row))
    return pa.table(
        {name: pa.array([row.get(name) for row in whole], kind_of(name)) for name in names}
    )


def event_commit(
    rows: Sequence[Mapping[str, Any]],
    first: int,
    *,
    node: str = "n1",
    dataset: str = "test.log",
    **more: Any,
) -> Commit:
    table = event_table(rows, first, node=node, dataset=dataset)
    return Commit(
        node=node, first=first, last=first + len(rows) - 1, tables={dataset: table}, **more
    )
