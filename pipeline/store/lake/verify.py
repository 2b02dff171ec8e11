"""Whether every file of the lake is what was written, and what becomes of one that is not.

In: the manifest and the disk. Out: a `Damage` for each file that is gone or differs, which says exactly what
it held; and three ways on: the same bytes put back (from a backup), a file with the same events in its place
(from the spool), or giving it up. A file that was given up is `lost`: nothing opens it any more, its row
stays and says what is missing, for coverage and for searches.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

import sqlalchemy as sa

from pipeline.model.errors import ConflictError, DamagedError
from pipeline.model.ids import new_id
from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.state.tables.lake import LakeFile
from pipeline.state.tables.operation import Disposal
from pipeline.store.base import TimeRange
from pipeline.store.files import Written, file_digest, make_folder, new_file
from pipeline.store.lake import manifest as lake_manifest

LOST: Final = "lost"


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that is not as it was written: `what` is wrong, and all that it held. `spans` maps nodes to
    their `[first, last]` sequences, `agencies` to rows."""

    id: str
    path: str
    dataset: str
    what: str
    rows: int
    bytes: int
    digest: str
    spans: dict[str, Any]
    agencies: dict[str, Any]
    first_time: datetime
    last_time: datetime


@dataclass(frozen=True, slots=True)
class Looked:
    """What was read, and what of it is not as it was written."""

    files: int
    events: int
    bytes: int
    found: list[Damage]


def verify(root: Path, state: State, progress: Callable[[int, int], None]) -> Looked:
    """Read every live file whole and compare it with its digest. `progress` gets bytes done, and all."""
    with state.read() as session:
        files = list(
            session.scalars(
                sa.select(LakeFile).where(LakeFile.state == "live").order_by(LakeFile.number)
            )
        )
    done, total = 0, sum(file.bytes for file in files)
    found = []
    for file in files:
        what = _look(root / file.path, file)
        done += file.bytes
        progress(done, total)
        if what and _still_live(state, file.id):  # else a merge or retention took it meanwhile
            found.append(Damage(
                file.id, file.path, file.dataset, what, file.rows, file.bytes, file.digest,
                file.spans, file.agencies, file.first_time, file.last_time,
            ))  # fmt: skip
    return Looked(len(files), sum(file.rows for file in files), total, found)


def put_back(root: Path, damage: Damage, source: IO[bytes]) -> None:
    """Write the file's bytes again. DamagedError where the source's are others; the old ones then stay."""
    path = root / damage.path
    make_folder(path.parent, root)
    with new_file(path) as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
        if sink.digest != damage.digest:
            raise DamagedError(
                "the backup holds other bytes under this name", where=damage.path, got=sink.digest,
                expected=damage.digest,
            )  # fmt: skip


def replace(state: State, damage: Damage, written: Written, *, now: datetime) -> None:
    """Let a file with the same events take the damaged one's place; ConflictError if it is not live."""
    with state.begin() as session:
        old = session.get(LakeFile, damage.id, with_for_update=True)
        number, resendable = (old.number, old.resendable) if old else (0, False)
        if not lake_manifest.retire(session, [damage.id], "replaced", now=now):
            raise _meanwhile(damage)
        lake_manifest.record(session, written, resendable=resendable, now=now, number=number)
        lake_manifest.count_deletion(session)  # ids in memory are read again


def give_up(state: State, damage: Damage, *, by: str, now: datetime) -> None:
    """Go on without the file: its row says what is missing, and each agency's list of disposals too."""
    with state.begin() as session:
        row = session.get(LakeFile, damage.id, with_for_update=True)
        if row is None or row.state != "live":
            raise _meanwhile(damage)
        row.state, row.changed = LOST, now
        lake_manifest.count_deletion(session)
        session.add_all(
            Disposal(
                id=new_id(), agency=agency, before=row.last_created, reason=LOST, by=by, at=now,
                events=rows,
            )
            for agency, rows in row.agencies.items()
        )  # fmt: skip


def missing(state: State, scope: Scope, when: TimeRange) -> int:
    """How many events of the scope and time were lost with files that were given up, as far as is known: those
    of a file that touches the time. Events that were carried over to a cluster since lack them too."""
    chosen = sa.select(LakeFile.agencies).where(LakeFile.state == LOST)
    if when.start is not None:
        chosen = chosen.where(LakeFile.last_time >= when.start)
    if when.stop is not None:
        chosen = chosen.where(LakeFile.first_time < when.stop)
    with state.read() as session:
        held = list(session.scalars(chosen))
    return sum(rows for one in held for agency, rows in one.items() if scope.allows(agency))


def _look(path: Path, file: LakeFile) -> str:
    try:
        size = path.stat().st_size
        if size != file.bytes:
            return f"{size} bytes instead of {file.bytes}"
        return "" if file_digest(path) == file.digest else "its bytes have changed"
    except FileNotFoundError:
        return "it is gone"
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"


def _still_live(state: State, file: str) -> bool:
    with state.read() as session:
        row = session.get(LakeFile, file)
        return row is not None and row.state == "live"


def _meanwhile(damage: Damage) -> ConflictError:
    return ConflictError(
        "the file was merged, deleted or mended meanwhile", where=damage.path,
        remedy="thapcanh store verify looks again",
    )  # fmt: skip
