"""Matches that correlations read, kept as Arrow blobs in the state.

In: stored matches of one run. Out: those of some rules, spans of time and groups. A blob holds at most
1 MB; each is written in the transaction of the run that matched, so that any worker reads them::

    rule: string · event: binary(16) · agency: string · time: int64 · node: string · sequence: int64
    values: map<string, string>            # Sigma field → folded text, only what some correlation asks

Invariant: a match is kept as long as an event that is late within the allowance can need it
(`packing.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.detect.correlation import Stored
from pipeline.model.clock import from_micros
from pipeline.state.tables.detection import MatchBlob

MAX_BLOB: Final = 1_000_000
MAX_ROWS: Final = 4_000
LATENESS: Final = timedelta(days=7)
Span = tuple[int, int]  # microseconds, both ends included
Route = tuple[str, tuple[str, ...]]  # a rule, and fields


def keep(session: Session, rows: Sequence[Stored], run: str, now: datetime) -> None:
    """Write the matches of a run."""
    for start in range(0, len(rows), MAX_ROWS):
        keep_piece(session, rows[start : start + MAX_ROWS], run, now)
    session.flush()


def keep_piece(session: Session, rows: Sequence[Stored], run: str, now: datetime) -> None:
    """Write them in as many blobs as their size asks for."""
    body = _encode(rows)
    if len(body) > MAX_BLOB and len(rows) > 1:
        middle = len(rows) // 2
        keep_piece(session, rows[:middle], run, now)
        keep_piece(session, rows[middle:], run, now)
        return
    session.add(
        MatchBlob(
            run=run,
            rules=sorted({m.rule for m in rows}),
            first_time=from_micros(min(m.time for m in rows)),
            last_time=from_micros(max(m.time for m in rows)),
            rows=len(rows),
            body=body,
            created=now,
        )
    )


def load(
    session: Session,
    rules: Iterable[str],
    spans: Sequence[Span],
    groups: tuple[Sequence[Route], Iterable[tuple[str, ...]]] | None = None,
) -> list[Stored]:
    """The kept matches of the rules within the spans. `groups` gives each rule's grouping fields and the
    wanted values: others may be left out."""
    if not spans:
        return []
    wanted = set(rules)
    held = sa.or_(
        *(
            sa.and_(
                MatchBlob.last_time >= from_micros(first), MatchBlob.first_time <= from_micros(last)
            )
            for first, last in spans[:_MAX_SPANS]
        )
    )
    if len(spans) > _MAX_SPANS:
        held = sa.and_(
            MatchBlob.last_time >= from_micros(spans[0][0]),
            MatchBlob.first_time <= from_micros(spans[-1][1]),
        )
    found: list[Stored] = []
    values = (groups[0], list(groups[1])) if groups is not None else None
    for row in session.execute(
        sa.select(MatchBlob.rules, MatchBlob.body).where(held).order_by(MatchBlob.id)
    ):
        if wanted.intersection(row.rules):
            found += _decode(row.body, wanted, spans, values)
    return found


_MAX_SPANS: Final = 50


def holds(session: Session, gone: Mapping[str, int], rules: set[str]) -> set[str]:
    """Of the events (hex id → time in microseconds), those of which a match of the rules is kept."""
    found: set[str] = set()
    for blob in _near(session, gone, rules):
        found.update(m.event for m in decode(blob.body) if m.event in gone and m.rule in rules)
    return found


def drop(session: Session, gone: Mapping[str, int], rules: set[str]) -> list[Stored]:
    """Keep no match of the rules by these events any more; the matches that went. Under `lock_findings`."""
    went: list[Stored] = []
    for blob in _near(session, gone, rules):
        rows = list(decode(blob.body))
        left = [m for m in rows if m.event not in gone or m.rule not in rules]
        if len(left) == len(rows):
            continue
        went += [m for m in rows if m.event in gone and m.rule in rules]
        if left:
            blob.body, blob.rows = _encode(left), len(left)
        else:
            session.delete(blob)
    session.flush()
    return went


def _near(session: Session, gone: Mapping[str, int], rules: set[str]) -> Iterator[MatchBlob]:
    """The blobs that may hold matches of the rules by these events."""
    seen: set[int] = set()
    spans = merged((time, time) for time in gone.values())
    for start in range(0, len(spans), _MAX_SPANS):
        held = sa.or_(
            *(
                sa.and_(
                    MatchBlob.last_time >= from_micros(first),
                    MatchBlob.first_time <= from_micros(last),
                )
                for first, last in spans[start : start + _MAX_SPANS]
            )
        )
        chosen = sa.select(MatchBlob.id, MatchBlob.rules).where(held).order_by(MatchBlob.id)
        for id_, of_rules in session.execute(chosen).all():
            if id_ not in seen and rules.intersection(of_rules):
                seen.add(id_)
                yield session.get_one(MatchBlob, id_)


def merged(spans: Iterable[Span]) -> list[Span]:
    """The spans, joined where they touch, in order."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("rule", pa.string()),
            ("event", pa.binary(16)),
            ("agency", pa.string()),
            ("time", pa.int64()),
            ("node", pa.string()),
            ("sequence", pa.int64()),
            ("values", pa.map_(pa.string(), pa.string())),
        ]
    )


def _encode(rows: Sequence[Stored]) -> bytes:
    import pyarrow as pa

    table = pa.table(
        [
            [m.rule for m in rows],
            [bytes.fromhex(m.event) for m in rows],
            [m.agency for m in rows],
            [m.time for m in rows],
            [m.node for m in rows],
            [m.sequence for m in rows],
            [list(m.values.items()) for m in rows],
        ],
        schema=_schema(),
    )
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def decode(body: bytes) -> Iterator[Stored]:
    """Every match of a blob."""
    import pyarrow as pa

    return _rows(pa.ipc.open_stream(body).read_all())


def _rows(table: Any) -> Iterator[Stored]:
    for row in table.to_pylist():
        yield Stored(
            row["rule"], row["event"].hex(), row["agency"], row["time"], row["node"], row["sequence"],
            dict(row["values"]),
        )  # fmt: skip


def _decode(
    body: bytes,
    rules: set[str],
    spans: Sequence[Span],
    groups: tuple[Sequence[Route], Sequence[tuple[str, ...]]] | None,
) -> Iterator[Stored]:
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute
    table = pa.ipc.open_stream(body).read_all()
    time = table.column("time")
    table = table.filter(
        pc.and_(
            pc.is_in(table.column("rule"), pa.array(sorted(rules), pa.string())),
            pc.and_(pc.greater_equal(time, spans[0][0]), pc.less_equal(time, spans[-1][1])),
        )
    )
    if groups is not None and table.num_rows:
        table = table.filter(_grouped(table, *groups))
    return (m for m in _rows(table) if any(first <= m.time <= last for first, last in spans))


def _grouped(table: Any, routes: Sequence[Route], wanted: Sequence[tuple[str, ...]]) -> Any:
    """Which rows have, by some route, one of the wanted values in each grouping field."""
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute
    found: Any = pa.scalar(value=False)
    for rule, fields in routes:
        mine = pc.equal(table.column("rule"), rule)
        for place, field in enumerate(fields):
            value = pc.map_lookup(table.column("values"), query_key=field, occurrence="first")
            among = pa.array(sorted({values[place] for values in wanted}), pa.string())
            mine = pc.and_(mine, pc.is_in(value, among))
        found = pc.or_(mine, found)
    return found
