"""Merges the files of closed hours: a commit every second would else leave thousands of small ones.

In: the manifest's files as committed whose receipts are of an hour that is over. Out: for each dataset one
file an hour (or several, each of at most `MAX_ROWS`), which takes their place in one transaction. Readers that
have read the manifest keep the old files until `sweep`. Killed anywhere, either all old files stand or the
new one does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from pipeline.model import events
from pipeline.model.errors import ConflictError, DamagedError
from pipeline.state.state import State
from pipeline.state.tables.lake import LakeFile
from pipeline.store import lake_manifest
from pipeline.store.columns import from_extra
from pipeline.store.files import Written, arrange, open_parquet, write_file
from pipeline.store.steps import step

MAX_ROWS: Final = 200_000
MAX_FILES: Final = 250  # so that the transaction stays short
MAX_BYTES: Final = 64 << 20  # on disk; some ten times that in memory
TIER: Final = 1


@dataclass(frozen=True, slots=True)
class _Small:
    """A file as committed."""

    id: str
    number: int
    path: str
    rows: int
    bytes: int


def compact(root: Path, state: State, *, now: datetime, most: int) -> int:
    """Merge at most so many times; how many files others took the place of."""
    gone = 0
    for done, (dataset, resendable, files) in enumerate(_chunks(state, now)):
        if done == most:
            break
        gone += _merge(root, state, dataset, files, resendable=resendable, now=now)
    return gone


def _chunks(state: State, now: datetime) -> Iterator[tuple[str, bool, list[_Small]]]:
    """Files that may become one, in the order of their commits."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    with state.read() as session:
        rows = session.execute(
            sa.select(
                LakeFile.id, LakeFile.number, LakeFile.path, LakeFile.rows, LakeFile.bytes,
                LakeFile.dataset, LakeFile.resendable, LakeFile.first_created,
            )
            .where(LakeFile.state == "live", LakeFile.tier == 0, LakeFile.last_created < this_hour)
            .order_by(LakeFile.number)
        ).all()  # fmt: skip
    groups: dict[tuple[str, bool, str], list[_Small]] = defaultdict(list)
    for row in rows:
        hour = f"{row.first_created:%Y-%m-%dT%H}"
        groups[row.dataset, row.resendable, hour].append(_Small(*row[:5]))
    for (dataset, resendable, _), files in groups.items():
        chunk: list[_Small] = []
        for file in files:
            full = (
                len(chunk) == MAX_FILES
                or sum(one.rows for one in chunk) + file.rows > MAX_ROWS
                or sum(one.bytes for one in chunk) + file.bytes > MAX_BYTES
            )
            if full:
                if len(chunk) > 1:
                    yield dataset, resendable, chunk
                chunk = []
            chunk.append(file)
        if len(chunk) > 1:
            yield dataset, resendable, chunk


def _merge(
    root: Path,
    state: State,
    dataset: str,
    files: Sequence[_Small],
    *,
    resendable: bool,
    now: datetime,
) -> int:
    import pyarrow as pa

    try:
        tables = [open_parquet(root / file.path).read() for file in files]
    except (DamagedError, OSError, pa.ArrowException):
        return 0  # whoever reads the file for its events says so, and names it
    places = alike(tables)
    if len(places) < 2:
        return 0
    merged = pa.concat_tables([tables[place] for place in places], promote_options="default")
    written = write_file(root, dataset, arrange(merged))
    step("compact.before")
    try:
        _swap(state, [files[place] for place in places], written, resendable=resendable, now=now)
    except ConflictError:
        return 0  # rolled back; the new file is an orphan, and the next call begins anew
    step("compact.after")
    return len(places)


def _swap(
    state: State, old: Sequence[_Small], new: Written, *, resendable: bool, now: datetime
) -> None:
    with state.begin() as session:
        ids = [file.id for file in old]
        if len(lake_manifest.retire(session, ids, "replaced", now=now)) != len(ids):
            raise ConflictError("a file was deleted or replaced meanwhile", where=new.dataset)
        # The last number: who has loaded ids up to an earlier one reads the merged file again.
        number = max(file.number for file in old)
        lake_manifest.record(session, new, resendable=resendable, now=now, tier=TIER, number=number)


def alike(tables: Sequence[Any]) -> list[int]:
    """The places of tables whose columns are of one type each, and where no name is a column here and a
    leftover there: in one file a name stands in one place."""
    types: dict[str, Any] = {}
    chosen: list[int] = []
    for place, table in enumerate(tables):
        own = dict(zip(table.column_names, table.schema.types, strict=True))
        if all(types.get(name, kind) == kind for name, kind in own.items()):
            types |= own
            chosen.append(place)
    columns = set(types) - {events.EXTRA}
    return [
        place
        for place in chosen
        if events.EXTRA not in tables[place].column_names
        or not from_extra(tables[place], columns - set(tables[place].column_names))
    ]
