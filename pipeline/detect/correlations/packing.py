"""Stored matches kept small: forgotten when nothing can need them, and packed into few blobs.

In: the correlations that run. Each rule's matches are kept as long as its correlations need them, so
those of a month never make those of five minutes stay: a blob holds rules of one retention only.
Many small blobs (one a run) become few large ones. Of a rule that only *new value* correlations over a
day or more read, the matches at the first and the last moment of each day, by values, are enough: whatever lies
between them is no new value, and hides none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.detect.correlations.correlation import NEW_VALUE, Correlation, Stored
from pipeline.detect.correlations.stored import LATENESS, MAX_ROWS, Piece, decode, encoded, write
from pipeline.detect.running.findings import lock_findings
from pipeline.state.state import State
from pipeline.state.tables.detection import MatchBlob

SMALL: Final = MAX_ROWS // 2
MANY: Final = 32
FOREIGN: Final = timedelta(days=366)
"""How long matches are kept of rules that no correlation of this schedule reads: one of another schedule's
may, which forgets them in its own time; if none does, they go after this."""
_DAY: Final = 86_400_000_000
_ROWS_AT_ONCE: Final = 2 * MAX_ROWS  # 8,000 of a few hundred bytes in memory


def retention(correlations: Iterable[Correlation]) -> dict[str, timedelta]:
    """By rule, how long after its creation a match can be needed."""
    kept: dict[str, timedelta] = {}
    for c in correlations:
        need = LATENESS + timedelta(microseconds=2 * c.reach + c.settling)
        for rule in c.bases():
            kept[rule] = max(kept.get(rule, need), need)
    return kept


def sorted_by_retention(
    rows: Sequence[Stored], kept: Mapping[str, timedelta]
) -> list[list[Stored]]:
    """The rows in parts, each of which can go at once."""
    parts: dict[timedelta, list[Stored]] = defaultdict(list)
    for row in rows:
        parts[kept.get(row.rule, LATENESS)].append(row)
    return list(parts.values())


def prune(session: Session, correlations: Iterable[Correlation], now: datetime) -> int:
    """Forget what no late event within the allowance can need any more; how many blobs went."""
    kept = retention(correlations)
    gone = [
        blob.id
        for blob in session.execute(
            sa.select(MatchBlob.id, MatchBlob.rules, MatchBlob.created).where(
                MatchBlob.created < now - min(kept.values(), default=LATENESS)
            )
        )
        if blob.created < now - max(kept.get(rule, FOREIGN) for rule in blob.rules)
    ]
    for start in range(0, len(gone), 400):
        session.execute(sa.delete(MatchBlob).where(MatchBlob.id.in_(gone[start : start + 400])))
    return len(gone)


class _Packed(msgspec.Struct, frozen=True):
    """Blobs, and what they hold in few pieces."""

    blobs: dict[int, int]  # id → matches
    pieces: tuple[Piece, ...]
    run: str
    created: datetime


def pack(state: State, correlations: Sequence[Correlation]) -> int:
    """Make one blob of many small ones, once there are enough; how many went. Read, joined and encoded
    before the transaction that replaces them, unless another writer touched them meanwhile."""
    with state.read() as session:
        packed = _packed(session, correlations)
    if not packed:
        return 0
    gone = 0
    with state.begin() as session:
        lock_findings(session)
        for each in packed:
            held = sa.select(MatchBlob.id, MatchBlob.rows).where(MatchBlob.id.in_(each.blobs))
            if {row.id: row.rows for row in session.execute(held)} == each.blobs:
                session.execute(sa.delete(MatchBlob).where(MatchBlob.id.in_(each.blobs)))
                write(session, each.pieces, each.run, each.created)
                gone += len(each.blobs)
    return gone


def _packed(session: Session, correlations: Sequence[Correlation]) -> list[_Packed]:
    small = sa.select(MatchBlob.id, MatchBlob.rules, MatchBlob.rows).where(MatchBlob.rows < SMALL)
    kept = retention(correlations)
    alike: dict[timedelta, list[tuple[int, int]]] = defaultdict(list)
    for blob in session.execute(small.order_by(MatchBlob.id)):
        if kept.keys() >= set(blob.rules):  # others are for their own schedule to pack
            alike[max(kept[rule] for rule in blob.rules)].append((blob.id, blob.rows))
    seldom = _seldom(correlations)
    return [_joined(session, blobs, seldom) for blobs in alike.values() if len(blobs) >= MANY]


def _seldom(correlations: Iterable[Correlation]) -> set[str]:
    """Rules of which first and last matches of a day are enough."""
    often: set[str] = set()
    seldom: set[str] = set()

    def look(c: Correlation) -> None:
        inner = {child.id for child in c.children}
        own = {rule for rule in c.rules if rule not in inner}
        (seldom if c.kind == NEW_VALUE and c.span >= _DAY and not inner else often).update(own)
        for child in c.children:
            look(child)

    for correlation in correlations:
        look(correlation)
    return seldom - often


def _joined(session: Session, blobs: Sequence[tuple[int, int]], seldom: set[str]) -> _Packed:
    taken: dict[int, int] = {}
    for id_, rows in blobs:
        if sum(taken.values()) + rows > _ROWS_AT_ONCE:
            break
        taken[id_] = rows
    held = session.scalars(
        sa.select(MatchBlob).where(MatchBlob.id.in_(taken)).order_by(MatchBlob.id)
    )
    found: dict[tuple[str, str], Stored] = {}
    run, created = "", None
    for blob in held:
        run, created = blob.run, blob.created if created is None else max(created, blob.created)
        found |= {(m.event, m.rule): m for m in decode(blob.body)}  # the newer of two, as when read
    rows_ = thinned(sorted(found.values(), key=lambda m: (m.time, m.event, m.rule)), seldom)
    assert created is not None
    return _Packed(taken, tuple(encoded(rows_)), run, created)


def thinned(rows: Sequence[Stored], seldom: set[str]) -> list[Stored]:
    """The rows, in order of time, without those of `seldom` that decide nothing."""

    def key(row: Stored) -> tuple[object, ...]:
        return (row.rule, row.agency, row.time // _DAY, *sorted(row.values.items()))

    ends: dict[tuple[object, ...], tuple[int, int]] = {}
    for row in rows:
        if row.rule in seldom:
            ends[key(row)] = (ends.get(key(row), (row.time, 0))[0], row.time)
    return [row for row in rows if row.rule not in seldom or row.time in ends[key(row)]]
