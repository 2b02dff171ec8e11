"""The manifest: which files the lake is made of, and what became of every receipt.

All functions work within a session of the caller, so that rows of files and of settlement are one
transaction. A file without a row does not exist; a row whose file is unreadable is *quarantined*
and every reader that would need it fails in words until it is restored or given up (`lost`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.model.records import DeadLetter, Settled
from pipeline.model.scope import Scope
from pipeline.state.state import next_number
from pipeline.state.tables.intake import DeadLetterRow, FileRange, Node, Settlement
from pipeline.state.tables.lake import LakeFile, LakeSchema, LakeSpan, Superseded
from pipeline.state.tables.register import Agency
from pipeline.store.base import TimeRange
from pipeline.store.files import Written

LIVE = "live"
QUARANTINED = "quarantined"
REPLACED = "replaced"
EXPIRED = "expired"
LOST = "lost"
COUNTER = "lake"
REMOVALS = "lake_removals"
_NEEDED = (LIVE, QUARANTINED)


def watermark(session: Session, node: str) -> int:
    query = sa.select(sa.func.max(Settlement.last)).where(Settlement.node == node)
    return session.execute(query).scalar() or 0


def watermarks(session: Session) -> dict[str, int]:
    query = sa.select(Settlement.node, sa.func.max(Settlement.last)).group_by(Settlement.node)
    return {node: last for node, last in session.execute(query)}


def add_file(
    session: Session,
    written: Written,
    *,
    now: datetime,
    tier: int = 0,
    resendable: bool = False,
    drill: Collection[str] = (),
) -> int:
    """Make a file exist. Its place in the order of commits."""
    number = next_number(session, COUNTER)
    if session.get(LakeSchema, written.schema) is None:
        session.add(LakeSchema(hash=written.schema, columns=written.columns))
        session.flush()
    session.add(
        LakeFile(
            id=written.id,
            number=number,
            path=written.path,
            dataset=written.dataset,
            tier=tier,
            columns=written.schema,
            resendable=resendable,
            spans=written.spans,
            agencies=written.agencies,
            drill=bool(written.agencies) and set(written.agencies) <= set(drill),
            rows=written.rows,
            bytes=written.bytes,
            digest=written.digest,
            first_time=written.first_time,
            last_time=written.last_time,
            first_created=written.first_created,
            last_created=written.last_created,
            state=LIVE,
            committed=now,
            changed=now,
        )
    )
    for node, (first, last) in written.spans.items():
        session.add(LakeSpan(file=written.id, node=node, first=first, last=last))
    return number


def drill_agencies(session: Session) -> frozenset[str]:
    return frozenset(session.scalars(sa.select(Agency.id).where(Agency.drill)))


def settle(session: Session, settled: Settled, *, now: datetime) -> None:
    """Add the range. Ranges of one node and hour are one row, so that the table stays small."""
    if session.get(Node, settled.node) is None:
        session.add(Node(id=settled.node, kind="collect", created=now))
        session.flush()
    newest = session.scalars(
        sa.select(Settlement)
        .where(Settlement.node == settled.node)
        .order_by(Settlement.first.desc())
        .limit(1)
    ).first()
    if newest is not None and _hour(newest.at) == _hour(now):
        newest.last = settled.last
        newest.stored += settled.stored
        newest.known += settled.known
        newest.refused += settled.refused
        newest.dropped += settled.dropped
        return
    session.add(
        Settlement(
            node=settled.node,
            first=settled.first,
            last=settled.last,
            stored=settled.stored,
            known=settled.known,
            refused=settled.refused,
            dropped=settled.dropped,
            at=now,
        )
    )


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def add_dead(session: Session, node: str, letters: Iterable[DeadLetter]) -> None:
    for letter in letters:
        session.add(
            DeadLetterRow(
                node=node,
                sequence=letter.sequence,
                source=letter.source,
                agency=letter.agency,
                cause=letter.cause,
                message=letter.message,
                received=_moment(letter.received),
                event=letter.event,
                body=letter.body or None,
                state="open",
            )
        )


def _moment(micros: int) -> datetime:
    from pipeline.model.clock import from_micros

    return from_micros(micros)


def add_file_ranges(
    session: Session, node: str, ranges: Iterable[tuple[str, str, int, int]], *, now: datetime
) -> None:
    """Bytes handed over for good; a range that goes on from an earlier one extends it."""
    for source, fingerprint, start, stop in ranges:
        of_file = (FileRange.source == source, FileRange.fingerprint == fingerprint)
        before = session.scalars(
            sa.select(FileRange)
            .where(*of_file, FileRange.start <= start, FileRange.stop >= start)
            .order_by(FileRange.stop.desc())
            .limit(1)
        ).first()
        if before is not None:
            before.stop = max(before.stop, stop)
            before.at = now
            continue
        session.add(
            FileRange(
                source=source, fingerprint=fingerprint, start=start, stop=stop, node=node, at=now
            )
        )
        session.flush()


def supersede(session: Session, pairs: Iterable[tuple[str, str]], *, now: datetime) -> None:
    """`(old, new)` hex ids."""
    for old, new in pairs:
        session.merge(Superseded(event=old, by=new, at=now))


def superseded(session: Session) -> dict[str, str]:
    return {row.event: row.by for row in session.scalars(sa.select(Superseded))}


def overlapping(
    session: Session, node: str, after: int, upto: int
) -> list[tuple[LakeFile, int, int]]:
    """Files that may hold sequences of `(after, upto]`, with their span, by its start."""
    query = (
        sa.select(LakeFile, LakeSpan.first, LakeSpan.last)
        .join(LakeSpan, LakeSpan.file == LakeFile.id)
        .where(
            LakeSpan.node == node,
            LakeSpan.last > after,
            LakeSpan.first <= upto,
            LakeFile.state.in_(_NEEDED),
        )
        .order_by(LakeSpan.first, LakeFile.number)
    )
    return [(file, first, last) for file, first, last in session.execute(query)]


def holding(session: Session, scope: Scope, when: TimeRange) -> list[LakeFile]:
    """Files that may hold events of the scope in a range of `@timestamp`, the newest first."""
    query = sa.select(LakeFile).where(LakeFile.state.in_(_NEEDED))
    if when.start is not None:
        query = query.where(LakeFile.last_time >= when.start)
    if when.stop is not None:
        query = query.where(LakeFile.first_time < when.stop)
    found = session.scalars(query.order_by(LakeFile.last_time.desc(), LakeFile.number.desc()))
    return [file for file in found if in_scope(file, scope)]


def in_scope(file: LakeFile, scope: Scope) -> bool:
    return scope.agencies is None or not scope.agencies.isdisjoint(file.agencies)


def schemas(session: Session, hashes: Collection[str]) -> dict[str, dict[str, str]]:
    found = session.scalars(sa.select(LakeSchema).where(LakeSchema.hash.in_(list(hashes))))
    return {row.hash: row.columns for row in found}


def set_state(session: Session, files: Sequence[str], state: str, *, now: datetime) -> None:
    """Only rows that exist for readers change; a file that stops being one is counted as removed."""
    for start in range(0, len(files), 500):
        session.execute(
            sa.update(LakeFile)
            .where(LakeFile.id.in_(files[start : start + 500]), LakeFile.state.in_(_NEEDED))
            .values(state=state, changed=now)
        )
    if state in (EXPIRED, LOST):
        next_number(session, REMOVALS)


def recent_files(session: Session, now: datetime, days: int, above: int) -> list[LakeFile]:
    """Resendable files of receipts of the last days that came after commit number `above`."""
    query = sa.select(LakeFile).where(
        LakeFile.resendable,
        LakeFile.number > above,
        LakeFile.state.in_(_NEEDED),
        LakeFile.last_created >= now - timedelta(days=days),
    )
    return list(session.scalars(query.order_by(LakeFile.number)))


def known_paths(session: Session) -> set[str]:
    """Of every row, whatever its state: replaced and expired files are deleted by their own rules."""
    return set(session.scalars(sa.select(LakeFile.path)))
