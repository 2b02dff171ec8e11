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

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.detect.correlation import NEW_VALUE, Correlation, Stored
from pipeline.detect.stored import LATENESS, MAX_ROWS, decode, keep_piece
from pipeline.state.tables.detection import MatchBlob

SMALL: Final = MAX_ROWS // 2
MANY: Final = 32
_DAY: Final = 86_400_000_000
_ROWS_AT_ONCE: Final = 2 * MAX_ROWS  # keeps the transaction short


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
        if blob.created < now - max(kept.get(rule, LATENESS) for rule in blob.rules)
    ]
    for start in range(0, len(gone), 400):
        session.execute(sa.delete(MatchBlob).where(MatchBlob.id.in_(gone[start : start + 400])))
    return len(gone)


def pack(session: Session, correlations: Sequence[Correlation]) -> int:
    """Make one blob of many small ones, once there are enough; how many went. Under `lock_findings`."""
    small = sa.select(MatchBlob.id, MatchBlob.rules, MatchBlob.rows).where(MatchBlob.rows < SMALL)
    kept = retention(correlations)
    alike: dict[timedelta, list[tuple[int, int]]] = defaultdict(list)
    for blob in session.execute(small.order_by(MatchBlob.id)):
        life = max(kept.get(rule, LATENESS) for rule in blob.rules)
        alike[life].append((blob.id, blob.rows))
    packed = 0
    for blobs in alike.values():
        if len(blobs) >= MANY:
            packed += _join(session, blobs, _seldom(correlations))
    return packed


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


def _join(session: Session, blobs: Sequence[tuple[int, int]], seldom: set[str]) -> int:
    ids: list[int] = []
    total = 0
    for id_, rows in blobs:
        if total + rows > _ROWS_AT_ONCE:
            break
        ids.append(id_)
        total += rows
    held = session.scalars(sa.select(MatchBlob).where(MatchBlob.id.in_(ids)).order_by(MatchBlob.id))
    found: dict[tuple[str, str], Stored] = {}
    run, created = "", None
    for blob in held:
        run, created = blob.run, blob.created if created is None else max(created, blob.created)
        found |= {(m.event, m.rule): m for m in decode(blob.body)}  # the newer of two, as when read
        session.delete(blob)
    rows_ = thinned(sorted(found.values(), key=lambda m: (m.time, m.event, m.rule)), seldom)
    assert created is not None
    for start in range(0, len(rows_), MAX_ROWS):
        keep_piece(session, rows_[start : start + MAX_ROWS], run, created)
    session.flush()
    return len(ids)


def thinned(rows: Sequence[Stored], seldom: set[str]) -> list[Stored]:
    """The rows, in order of time, without those of `seldom` that decide nothing."""

    def key(row: Stored) -> tuple[object, ...]:
        return (row.rule, row.agency, row.time // _DAY, *sorted(row.values.items()))

    ends: dict[tuple[object, ...], tuple[int, int]] = {}
    for row in rows:
        if row.rule in seldom:
            ends[key(row)] = (ends.get(key(row), (row.time, 0))[0], row.time)
    return [row for row in rows if row.rule not in seldom or row.time in ends[key(row)]]
