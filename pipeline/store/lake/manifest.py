"""Changes of the lake's manifest: a file comes, a file takes the place of others, what was replaced goes.

Each is one transaction, or part of the caller's; a reader that read the manifest before finds the old files
still on disk until `sweep` removes them, when no reader can hold them any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.state.state import State, next_number, next_numbers
from pipeline.state.tables.lake import LakeFile, LakeSchema, LakeSpan
from pipeline.state.tables.operation import Counter
from pipeline.store.files import Written
from pipeline.store.steps import step

GRACE: Final = timedelta(hours=1)
"""No reader holds a file of the manifest longer, and no commit is under way for longer."""
HELD: Final = ".held"
"""A folder under the root for second names of files, which a backup that is under way holds on to."""
_DELETIONS: Final = "lake_deletions"


def record(
    session: Session,
    one: Written,
    *,
    resendable: bool,
    now: datetime,
    number: int | None = None,
    tier: int = 0,
) -> None:
    """Add a file: from this transaction on it exists. `number` is given where it replaces others."""
    if session.get(LakeSchema, one.schema) is None:
        session.add(LakeSchema(hash=one.schema, columns=one.columns))
        session.flush()
    session.add(
        LakeFile(
            id=one.id, number=number or next_number(session, "lake"), path=one.path,
            dataset=one.dataset, tier=tier, columns=one.schema, resendable=resendable,
            spans=one.spans, agencies=one.agencies, rows=one.rows, bytes=one.bytes,
            digest=one.digest, first_time=one.first_time, last_time=one.last_time,
            first_created=one.first_created, last_created=one.last_created, committed=now,
            changed=now,
        )
    )  # fmt: skip
    session.add_all(
        LakeSpan(file=one.id, node=node, first=first, last=last)
        for node, (first, last) in one.spans.items()
    )


def retire(session: Session, files: Sequence[str], state: str, *, now: datetime) -> list[LakeFile]:
    """Take live files out of every later reader's sight, and free their numbers; those that were live."""
    rows = list(
        session.scalars(
            sa.select(LakeFile)
            .where(LakeFile.id.in_(files), LakeFile.state == "live")
            .with_for_update()
        )
    )
    numbers = next_numbers(session, "lake_retired", len(rows)) if rows else range(0)
    for row, number in zip(rows, numbers, strict=True):
        row.state, row.changed, row.number = state, now, -number
    session.execute(sa.delete(LakeSpan).where(LakeSpan.file.in_([row.id for row in rows])))
    session.flush()
    return rows


def count_deletion(session: Session) -> None:
    """Tell processes that keep ids in memory that some of them may be gone."""
    next_number(session, _DELETIONS)


def deletions(session: Session) -> int:
    return session.scalar(sa.select(Counter.value).where(Counter.name == _DELETIONS)) or 0


def sweep(root: Path, state: State, *, now: datetime) -> int:
    """Remove files that no manifest row names and no commit can still be about, and those whose time is
    over; how many went. A crash in between leaves what the next sweep finds."""
    with state.begin() as session:
        session.execute(
            sa.delete(LakeFile).where(
                LakeFile.state.in_(("replaced", "expired")), LakeFile.changed < now - GRACE
            )
        )
    step("sweep.forgotten")
    with state.read() as session:
        named = set(session.scalars(sa.select(LakeFile.path)))
    removed = 0
    for path in root.rglob("*"):
        if HELD in path.parts:
            continue
        try:
            old = path.is_file() and path.stat().st_mtime < (now - GRACE).timestamp()
        except FileNotFoundError:
            continue  # a commit renamed it meanwhile
        if old and str(path.relative_to(root)) not in named:
            path.unlink(missing_ok=True)
            removed += 1
    return removed
