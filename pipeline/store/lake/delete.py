"""Deletes an agency's events by the time of their receipt; what a legal hold covers stays.

In: an agency and a moment. Out: how many events went. A file of that agency alone, all of it old and none
of it held, leaves the manifest; any other is written anew without those rows, which takes its place in one
transaction. Killed anywhere, a file either stands as it was or without them, and a second call does the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.model import events
from pipeline.state.state import State
from pipeline.state.tables.lake import Hold, LakeFile
from pipeline.store.files import arrange, open_parquet, write_file
from pipeline.store.lake import manifest as lake_manifest
from pipeline.store.steps import step


@dataclass(frozen=True, slots=True)
class _Held:
    """A span of `@timestamp`, both ends included, whose events stay."""

    first: datetime
    last: datetime


def delete_before(root: Path, state: State, agency: str, moment: datetime, *, now: datetime) -> int:
    """See the module. `moment` bounds `event.created`, itself excluded."""
    with state.read() as session:
        rows = session.execute(
            sa.select(LakeFile.id, LakeFile.agencies)
            .where(LakeFile.state == "live", LakeFile.first_created < moment)
            .order_by(LakeFile.number)
        )
        chosen = [row.id for row in rows if agency in row.agencies]
    gone = 0
    for one in chosen:
        found = None
        while found is None:
            found = _thin(root, state, one, agency, moment, now)
        gone += found
    return gone


def _thin(
    root: Path, state: State, name: str, agency: str, moment: datetime, now: datetime
) -> int | None:
    """How many rows of one file went; None when it or the holds changed meanwhile and it must be tried again."""
    with state.read() as session:
        file = session.get(LakeFile, name)
        held = _holds(session, agency)
    if file is None or file.state != "live":
        return 0  # swept or replaced by another deletion, which has found the same rows
    alone = set(file.agencies) == {agency} and file.last_created < moment
    overlaps = any(one.first <= file.last_time and file.first_time <= one.last for one in held)
    written, gone = None, file.rows
    if not alone or overlaps:
        table = open_parquet(root / file.path).read()
        doomed = _doomed(table, agency, moment, held)
        gone = doomed.true_count
        if not gone:
            return 0
        if gone < table.num_rows:
            import pyarrow.compute as pc

            rest = table.filter(pc.invert(doomed))
            written = write_file(root, file.dataset, arrange(rest), lasting=file.tier > 0)
    step("delete.before")
    with state.begin() as session:
        if _holds(session, agency) != held:
            return None  # the new file is an orphan; a hold comes before any deletion
        number = file.number
        if not lake_manifest.retire(session, [name], "replaced" if written else "expired", now=now):
            return None
        if written is not None:
            lake_manifest.record(
                session, written, resendable=file.resendable, now=now, number=number, tier=file.tier
            )
        lake_manifest.count_deletion(session)
    step("delete.after")
    return gone


def _holds(session: Session, agency: str) -> list[_Held]:
    rows = session.scalars(
        sa.select(Hold).where(Hold.agency == agency, Hold.released.is_(None)).order_by(Hold.id)
    )
    return [_Held(row.first_time, row.last_time) for row in rows]


def _doomed(table: Any, agency: str, moment: datetime, held: Sequence[_Held]) -> Any:
    """The rows that go; a row without one of the times stays."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def when(value: datetime) -> Any:
        return pa.scalar(value, pa.timestamp("us", "UTC"))

    time = table.column(events.TIME)
    doomed = pc.and_(
        pc.equal(table.column(events.AGENCY), agency),
        pc.less(table.column(events.CREATED), when(moment)),
    )
    for one in held:
        inside = pc.and_(
            pc.greater_equal(time, when(one.first)), pc.less_equal(time, when(one.last))
        )
        doomed = pc.and_(doomed, pc.invert(inside))
    return pc.fill_null(doomed, False).combine_chunks()
