"""Matches that correlations read, kept as Arrow blobs in the state, and the step that evaluates them.

In: the hits of a run's transaction. Out: further hits, of the correlations themselves. A blob holds at
most 1 MB; each is written in the transaction of the run that matched, so that any worker reads them::

    rule: string · event: binary(16) · agency: string · time: int64 · node: string · sequence: int64
    values: map<string, string>            # Sigma field → folded text, only what some correlation asks

Invariant: what was matched before and what is matched now give the same correlations in any order:
every window that holds a new match is looked at whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.detect.correlation import Correlation, Part, Stored, group_of, taking_part
from pipeline.detect.findings import MAX_SAMPLES, Hit, RuleFacts
from pipeline.model.clock import from_micros
from pipeline.model.detections import Match
from pipeline.state.tables.detection import MatchBlob

MAX_BLOB: Final = 1_000_000
MAX_ROWS: Final = 4_000
LATENESS: Final = timedelta(days=7)


def correlate(
    session: Session,
    correlations: Sequence[Correlation],
    hits: Sequence[Hit],
    facts: Mapping[str, RuleFacts],
    *,
    run: str,
    now: datetime,
) -> list[Hit]:
    """Keep the hits that correlations read, and give the hits of the correlations that they complete."""
    asked = {rule for c in correlations for rule in c.rules}
    fresh = [_stored(hit) for hit in hits if hit.match.rule in asked and hit.values is not None]
    if not fresh:
        return []
    found: list[Hit] = []
    for correlation in correlations:
        new = [m for m in fresh if m.rule in correlation.rules]
        groups = {key for m in new if (key := group_of(correlation, m)) is not None}
        if not groups:
            continue
        first = min(m.time for m in new) - correlation.span
        last = max(m.time for m in new) + correlation.span
        old = _load(session, set(correlation.rules), first, last)
        near = (m for m in (*old, *new) if group_of(correlation, m) in groups)
        found += _hits(correlation, taking_part(correlation, near), facts[correlation.id])
    _keep(session, fresh, run, now)
    return found


def prune(session: Session, correlations: Iterable[Correlation], now: datetime) -> int:
    """Forget blobs older than the longest span and the allowed lateness; how many went."""
    longest = max((c.span for c in correlations), default=0)
    before = now - LATENESS - timedelta(microseconds=longest)
    done = session.execute(sa.delete(MatchBlob).where(MatchBlob.created < before))
    return int(done.rowcount)  # type: ignore[attr-defined]


def _hits(correlation: Correlation, parts: Sequence[Part], facts: RuleFacts) -> Iterator[Hit]:
    shown: dict[tuple[str, str], int] = defaultdict(int)
    field = ", ".join(correlation.group_by)
    for part in parts:
        m = part.match
        match = Match(
            correlation.id,
            facts.revision,
            m.event,
            part.agency,
            part.entity,
            m.time,
            m.node,
            m.sequence,
        )
        key = (part.agency, part.entity)
        shown[key] += 1
        fields = m.values | {"rule": m.rule} if shown[key] <= MAX_SAMPLES else None
        yield Hit(match, field[:64], fields)


def _stored(hit: Hit) -> Stored:
    m = hit.match
    return Stored(m.rule, m.event, m.agency, m.time, m.node, m.sequence, hit.values or {})


def _keep(session: Session, rows: Sequence[Stored], run: str, now: datetime) -> None:
    session.flush()  # the run first: blobs refer to it
    pending = [rows[n : n + MAX_ROWS] for n in range(0, len(rows), MAX_ROWS)]
    while pending:
        part = pending.pop()
        body = _encode(part)
        if len(body) > MAX_BLOB and len(part) > 1:
            half = len(part) // 2
            pending += [part[:half], part[half:]]
            continue
        times = [m.time for m in part]
        session.add(
            MatchBlob(
                run=run,
                rules=sorted({m.rule for m in part}),
                first_time=from_micros(min(times)),
                last_time=from_micros(max(times)),
                rows=len(part),
                body=body,
                created=now,
            )
        )


def _load(session: Session, rules: set[str], first: int, last: int) -> list[Stored]:
    """What is kept of the rules between two times, both included."""
    session.flush()
    query = sa.select(MatchBlob.rules, MatchBlob.body).where(
        MatchBlob.last_time >= from_micros(first), MatchBlob.first_time <= from_micros(last)
    )
    found: list[Stored] = []
    for row in session.execute(query):
        if rules.intersection(row.rules):
            rows = _decode(row.body)
            found += [m for m in rows if m.rule in rules and first <= m.time <= last]
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


def _decode(body: bytes) -> list[Stored]:
    import pyarrow as pa

    table = pa.ipc.open_stream(body).read_all()
    return [
        Stored(
            row["rule"], row["event"].hex(), row["agency"], row["time"], row["node"], row["sequence"],
            dict(row["values"]),
        )
        for row in table.to_pylist()
    ]  # fmt: skip
