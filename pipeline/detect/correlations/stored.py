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

from pipeline.detect.correlations.correlation import Stored
from pipeline.model.clock import from_micros
from pipeline.state.tables.detection import MatchBlob

MAX_BLOB: Final = 1_000_000
MAX_ROWS: Final = 4_000
LATENESS: Final = timedelta(days=7)
Span = tuple[int, int]  # microseconds, both ends included
Blob = tuple[int, int]
"""Its id, which no other ever gets, and how many matches it holds: all that is ever done to one is to
take some away, so that the two stand for what it holds."""
Route = tuple[str, tuple[str, ...]]  # a rule, and fields
Piece = tuple[tuple[Stored, ...], bytes]  # matches, and the same as a blob holds them


def keep(session: Session, rows: Sequence[Stored], run: str, now: datetime) -> None:
    """Write the matches of a run."""
    write(session, encoded(rows), run, now)


def encoded(rows: Sequence[Stored]) -> Iterator[Piece]:
    """The matches in as many pieces as their number and size ask for."""
    for start in range(0, len(rows), MAX_ROWS):
        yield from _pieces(tuple(rows[start : start + MAX_ROWS]))


def _pieces(rows: tuple[Stored, ...]) -> Iterator[Piece]:
    body = _encode(rows)
    if len(body) <= MAX_BLOB or len(rows) == 1:
        yield rows, body
        return
    middle = len(rows) // 2
    yield from _pieces(rows[:middle])
    yield from _pieces(rows[middle:])


def write(session: Session, pieces: Iterable[Piece], run: str, now: datetime) -> None:
    """Keep what was encoded. Under `lock_findings`."""
    for rows, body in pieces:
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
    session.flush()


def listed(session: Session, rules: Iterable[str], spans: Sequence[Span]) -> list[Blob]:
    """The blobs that `load` would read: as long as they are the same, so are the matches."""
    if not spans:
        return []
    wanted = set(rules)
    chosen = sa.select(MatchBlob.id, MatchBlob.rows, MatchBlob.rules).where(_held(spans))
    return [
        (row.id, row.rows)
        for row in session.execute(chosen.order_by(MatchBlob.id))
        if wanted.intersection(row.rules)
    ]


def any_within(session: Session, spans: Sequence[Span]) -> bool:
    """Whether any match is kept of these spans, or nearly so."""
    query = sa.select(MatchBlob.id).limit(1)
    return bool(spans) and session.scalar(query.where(_held(spans))) is not None


def load(
    session: Session,
    rules: Iterable[str],
    spans: Sequence[Span],
    groups: tuple[Sequence[Route], Iterable[tuple[str, ...]]] | None = None,
) -> list[Stored]:
    """The kept matches of the rules within the spans. `groups` gives each rule's grouping fields and the
    wanted values: others may be left out."""
    wanted, found = set(rules), list[Stored]()
    values = (groups[0], list(groups[1])) if groups is not None else None
    ids = [id_ for id_, _ in listed(session, wanted, spans)]
    for start in range(0, len(ids), _AT_ONCE):
        chosen = sa.select(MatchBlob.body).where(MatchBlob.id.in_(ids[start : start + _AT_ONCE]))
        for body in session.scalars(chosen.order_by(MatchBlob.id)):
            found += _decode(body, wanted, spans, values)
    return found


_AT_ONCE: Final = 8  # blobs of at most 1 MB
_MAX_SPANS: Final = 50


def _held(spans: Sequence[Span]) -> sa.ColumnElement[bool]:
    """That a blob may hold matches of the spans; of very many, of what lies between them too."""
    if len(spans) > _MAX_SPANS:
        spans = [(spans[0][0], spans[-1][1])]
    return sa.or_(
        *(
            sa.and_(
                MatchBlob.last_time >= from_micros(first), MatchBlob.first_time <= from_micros(last)
            )
            for first, last in spans
        )
    )


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
        chosen = sa.select(MatchBlob.id, MatchBlob.rules).where(
            _held(spans[start : start + _MAX_SPANS])
        )
        for id_, of_rules in session.execute(chosen.order_by(MatchBlob.id)).all():
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


def within(spans: Iterable[Span], time: int) -> bool:
    """Whether the moment lies in one of the spans."""
    return any(first <= time <= last for first, last in spans)


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
    return _rows(_opened(body))


def _opened(body: bytes) -> Any:
    import pyarrow as pa

    return pa.ipc.open_stream(body).read_all()


def _rows(table: Any) -> Iterator[Stored]:
    columns = [column.to_pylist() for column in table.select(_schema().names).columns]
    for rule, event, agency, time, node, sequence, values in zip(*columns, strict=True):
        yield Stored(rule, event.hex(), agency, time, node, sequence, dict(values))


def _decode(
    body: bytes,
    rules: set[str],
    spans: Sequence[Span],
    groups: tuple[Sequence[Route], Sequence[tuple[str, ...]]] | None,
) -> Iterator[Stored]:
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute
    table = _opened(body)
    time = table.column("time")
    table = table.filter(
        pc.and_(
            pc.is_in(table.column("rule"), pa.array(sorted(rules), pa.string())),
            pc.and_(pc.greater_equal(time, spans[0][0]), pc.less_equal(time, spans[-1][1])),
        )
    )
    if groups is not None and table.num_rows:
        table = table.filter(_grouped(table, *groups))
    return (m for m in _rows(table) if within(spans, m.time))


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
