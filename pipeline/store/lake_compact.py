"""Merges files of hours that are over, and turns days that are over into files of one agency each.

In: the manifest. Out: for each dataset one file an hour (tier 1), then one file an agency and receipt day (tier 2), each
of at most `MAX_ROWS` and `MAX_BYTES`, written in ever larger pieces; agencies with fewer than `FEW` events of a day share
one file, sorted by agency. New files take the old ones' place in one transaction; readers that have read the manifest
keep the old ones until `sweep`. Killed anywhere, either all old files stand or the new ones do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from pipeline.model import events
from pipeline.model.errors import ConflictError, DamagedError
from pipeline.state.state import State, next_numbers
from pipeline.state.tables.lake import LakeFile
from pipeline.store import lake_manifest
from pipeline.store.columns import from_extra
from pipeline.store.files import Written, arrange, open_parquet, write_file
from pipeline.store.steps import step

MAX_ROWS: Final = 100_000  # a merge is one turn of the normaliser: seconds, on a busy machine too
MAX_FILES: Final = 250  # so that the transaction stays short
MAX_BYTES: Final = 64 << 20  # on disk; some ten times that in memory
FEW: Final = 1_000  # a file of fewer events costs more for its footer than it saves
LATE: Final = timedelta(hours=1)
"""So long after midnight records of the day before may still be on their way out of the spool."""
FRESH: Final = timedelta(days=2)
"""So long after it was made a day's file may still grow: years of them are not looked through each minute."""
HOUR: Final = 1
DAY: Final = 2


@dataclass(frozen=True, slots=True)
class _Small:
    """A file that others may take the place of. `owner`: its agency, empty where it holds several."""

    id: str
    number: int
    path: str
    rows: int
    bytes: int
    tier: int
    owner: str


@dataclass(frozen=True, slots=True)
class _Plan:
    """Files of one dataset that become files of `tier`."""

    dataset: str
    resendable: bool
    tier: int
    files: Sequence[_Small]


def compact(root: Path, state: State, *, now: datetime, most: int) -> int:
    """Carry out at most so many plans; how many files others took the place of."""
    gone = 0
    for done, plan in enumerate(_plans(state, now)):
        if done == most:
            break
        gone += _merge(root, state, plan, now)
    return gone


def _plans(state: State, now: datetime) -> Iterator[_Plan]:
    """Hours first: what is read most gets better first."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    today = (now - LATE).replace(hour=0, minute=0, second=0, microsecond=0)
    with state.read() as session:
        rows = session.execute(
            sa.select(
                LakeFile.id, LakeFile.number, LakeFile.path, LakeFile.rows, LakeFile.bytes, LakeFile.tier,
                LakeFile.dataset, LakeFile.resendable, LakeFile.first_created, LakeFile.last_created,
                LakeFile.agencies,
            )
            .where(LakeFile.state == "live", LakeFile.last_created < this_hour)
            .where(sa.or_(LakeFile.tier < DAY, LakeFile.changed > now - FRESH))
            .order_by(LakeFile.number)
        ).all()  # fmt: skip
    hours: dict[tuple[str, bool, str], list[_Small]] = defaultdict(list)
    days: dict[tuple[str, bool, str, str], list[_Small]] = defaultdict(list)
    for row in rows:
        owner = next(iter(row.agencies)) if len(row.agencies) == 1 else ""
        one = _Small(*row[:6], owner=owner)
        if row.last_created < today:
            # What is not of a day yet goes with what several share: it is parted by agency.
            own = owner if row.tier == DAY else ""
            days[row.dataset, row.resendable, f"{row.first_created:%Y-%m-%d}", own].append(one)
        elif row.tier == 0:
            hour = f"{row.first_created:%Y-%m-%dT%H}"
            hours[row.dataset, row.resendable, hour].append(one)
    for (dataset, resendable, _), files in hours.items():
        for chunk in _chunks(files):
            if len(chunk) > 1:
                yield _Plan(dataset, resendable, HOUR, chunk)
    for (dataset, resendable, _, _), files in days.items():
        for chunk in _chunks(sorted(files, key=lambda one: one.tier)):
            if len(chunk) > 1 or chunk[0].tier < DAY:
                yield _Plan(dataset, resendable, DAY, chunk)


def _chunks(files: Sequence[_Small]) -> Iterator[list[_Small]]:
    """Files that may become one."""
    chunk: list[_Small] = []
    for file in files:
        full = (
            len(chunk) == MAX_FILES
            or sum(one.rows for one in chunk) + file.rows > MAX_ROWS
            or sum(one.bytes for one in chunk) + file.bytes > MAX_BYTES
        )
        if full and chunk:
            yield chunk
            chunk = []
        chunk.append(file)
    if chunk:
        yield chunk


def _merge(root: Path, state: State, plan: _Plan, now: datetime) -> int:
    import pyarrow as pa

    try:
        tables = [open_parquet(root / file.path).read() for file in plan.files]
    except (DamagedError, OSError, pa.ArrowException):
        return 0  # whoever reads the file for its events says so, and names it
    old = [plan.files[place] for place in alike(tables) or [0]]
    if len(old) < 2 and (plan.tier == HOUR or plan.files[0].tier == DAY):
        return 0
    chosen = [table for table, file in zip(tables, plan.files, strict=True) if file in old]
    merged = arrange(pa.concat_tables(chosen, promote_options="default"))
    del tables, chosen
    parts = [merged] if plan.tier == HOUR else list(_by_agency(merged))
    written = [write_file(root, plan.dataset, arrange(part)) for part in parts]
    step("compact.before")
    try:
        _swap(state, plan, old, written, now=now)
    except ConflictError:
        return 0  # rolled back; the new files are orphans, and the next call begins anew
    step("compact.after")
    return len(old)


def _by_agency(table: Any) -> Iterator[Any]:
    """The rows, sorted by agency, in a table an agency; those of agencies with few come in one, the last."""
    import pyarrow as pa
    import pyarrow.compute as pc

    counts = {
        one["values"]: one["counts"]
        for one in pc.value_counts(table.column(events.AGENCY)).to_pylist()
    }
    few = []
    first = 0
    for agency in sorted(counts):
        part = table.slice(first, counts[agency])
        first += counts[agency]
        if counts[agency] < FEW and len(counts) > 1:
            few.append(part)
        else:
            yield part
    if few:
        yield pa.concat_tables(few)


def _swap(
    state: State, plan: _Plan, old: Sequence[_Small], new: Sequence[Written], *, now: datetime
) -> None:
    with state.begin() as session:
        ids = [file.id for file in old]
        if len(lake_manifest.retire(session, ids, "replaced", now=now)) != len(ids):
            raise ConflictError("a file was deleted or replaced meanwhile", where=plan.dataset)
        # The last number: who has loaded ids up to an earlier one reads the merged file again.
        numbers: Sequence[int] = [max(file.number for file in old)]
        if len(new) > 1:
            numbers = next_numbers(session, "lake", len(new))
        for one, number in zip(new, numbers, strict=True):
            lake_manifest.record(
                session, one, resendable=plan.resendable, now=now, tier=plan.tier, number=number
            )


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
