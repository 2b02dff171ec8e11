"""What a run takes on, and in which pieces it commits. Pure.

A window is `(cursor, watermark]` of every node, bounded in size; matches of one transaction (and superseded events) are
bounded too, so that a storm makes more transactions, never a long one. A cut never parts the
matches of one event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pipeline.detect.running.findings import Hit
from pipeline.detect.running.superseded import Gone
from pipeline.model import events
from pipeline.model.detections import Window

Spans = dict[str, tuple[int, int]]


class Slice(msgspec.Struct, frozen=True):
    """Half-open spans `(after, upto]` by node, the hits within them, and the superseded events whose
    successors lie there."""

    spans: Spans
    hits: tuple[Hit, ...]
    gone: tuple[Gone, ...] = ()


def next_window(cursors: Mapping[str, int], watermark: Mapping[str, int], limit: int) -> Window:
    """At most `limit` sequences, shared among the nodes that have some: the smallest demand first,
    so that what a quiet node does not need goes to the busy ones."""
    waiting = sorted(
        (upto - cursors.get(node, 0), node)
        for node, upto in watermark.items()
        if upto > cursors.get(node, 0)
    )
    spans: Spans = {}
    for place, (size, node) in enumerate(waiting):
        share = min(size, max(1, limit // (len(waiting) - place)))
        after = cursors.get(node, 0)
        spans[node] = (after, after + share)
        limit -= share
        if limit <= 0:
            break
    return Window(dict(sorted(spans.items())))


def slices(
    window: Window, hits: Sequence[Hit], limit: int, gone: Sequence[Gone] = ()
) -> list[Slice]:
    """The window in pieces of about `limit` hits and superseded events, in order, each node's pieces
    without a gap."""
    of_node: dict[str, list[tuple[int, Hit | Gone]]] = {node: [] for node in window.spans}
    for hit in hits:
        of_node[hit.match.node].append((hit.match.sequence, hit))
    for one in gone:
        of_node[one.node].append((one.sequence, one))
    pieces: list[Slice] = []
    spans: Spans = {}
    taken: list[Hit | Gone] = []
    for node, (after, upto) in window.spans.items():
        start, last = after, after
        for sequence, item in sorted(of_node[node], key=lambda pair: pair[0]):
            if len(taken) >= limit and sequence > last:
                if sequence - 1 > start:
                    spans[node] = (start, sequence - 1)
                pieces.append(_slice(spans, taken))
                spans, taken, start = {}, [], sequence - 1
            taken.append(item)
            last = sequence
        spans[node] = (start, upto)
    return [*pieces, _slice(spans, taken)]


def _slice(spans: Spans, items: Sequence[Hit | Gone]) -> Slice:
    return Slice(
        spans,
        tuple(item for item in items if isinstance(item, Hit)),
        tuple(item for item in items if isinstance(item, Gone)),
    )


class Tallies:
    """Events per node and agency, with the span of their times, of any part of a window."""

    def __init__(self) -> None:
        self._parts: list[Any] = []
        self.events = 0

    def add(self, table: Any) -> None:
        """`table` is an Arrow table of events; only four of its columns are kept."""
        self.events += table.num_rows
        part = table.select([events.NODE, events.SEQUENCE, events.AGENCY, events.TIME])
        self._parts.append(part.combine_chunks())

    def within(self, spans: Spans) -> dict[str, dict[str, Any]]:
        """node → agency → `{"events": n, "first": micros, "last": micros}`."""
        found: dict[str, dict[str, Any]] = {}
        if not self._parts:
            return found
        import pyarrow as pa
        import pyarrow.compute

        pc: Any = pyarrow.compute
        table: Any = pa.concat_tables(self._parts, promote_options="permissive")
        times = table.column(events.TIME).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        table = table.set_column(table.column_names.index(events.TIME), events.TIME, times)
        for node, (after, upto) in spans.items():
            sequence = table.column(events.SEQUENCE)
            rows = table.filter(
                pc.and_(
                    pc.equal(table.column(events.NODE), node),
                    pc.and_(pc.greater(sequence, after), pc.less_equal(sequence, upto)),
                )
            )
            grouped = rows.group_by(events.AGENCY).aggregate(
                [(events.TIME, "count"), (events.TIME, "min"), (events.TIME, "max")]
            )
            found[node] = {
                row[events.AGENCY]: {
                    "events": row[f"{events.TIME}_count"],
                    "first": row[f"{events.TIME}_min"],
                    "last": row[f"{events.TIME}_max"],
                }
                for row in grouped.to_pylist()
            }
        return found


def place_of(table: Any) -> str:
    """Where a table's events stand, for people."""
    import pyarrow.compute

    pc: Any = pyarrow.compute
    ends = pc.min_max(table.column(events.SEQUENCE)).as_py()
    nodes = ", ".join(map(str, pc.unique(table.column(events.NODE)).to_pylist()))
    return f"node {nodes}, sequences {ends['min']} to {ends['max']}"
