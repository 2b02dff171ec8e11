"""Merges files of hours that are over, and turns days that are over into files of one agency each.

In: the manifest. Out: for each dataset one file an hour (tier 1), then one file an agency and receipt day (tier 2), each
of at most `MAX_ROWS` and `MAX_BYTES`, written in ever larger pieces; agencies with fewer than `FEW` events of a day share
one file, sorted by agency. New files take the old ones' place in one transaction; readers that have read the manifest
keep the old ones until `sweep`. Killed anywhere, either all old files stand or the new ones do.

A merge is done in turns of some `TURN_ROWS` rows read, ordered or written, for who takes turns has receipts to settle in
between; the rows under way (a few hundred bytes to kilobytes each, at most `MAX_ROWS`) are kept in memory meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from pipeline.model import events
from pipeline.model.errors import ConflictError, DamagedError
from pipeline.state.state import State, next_numbers
from pipeline.state.tables.lake import LakeFile
from pipeline.store.columns import from_extra
from pipeline.store.files import Written, arrange, in_order, open_parquet, write_file
from pipeline.store.lake import manifest as lake_manifest
from pipeline.store.steps import step

MAX_ROWS: Final = 100_000
TURN_ROWS: Final = 20_000  # under a second of a core; a busy machine may take ten times that
MAX_FILES: Final = 250  # so that the transaction stays short
MAX_BYTES: Final = 64 << 20  # on disk; some ten times that in memory
FEW: Final = 1_000  # a file of fewer events costs more for its footer than it saves
LATE: Final = timedelta(hours=1)
"""So long after midnight records of the day before may still be on their way out of the spool."""
FRESH: Final = timedelta(days=2)
"""So long after it was made a day's file may still grow: years of them are not looked through each minute."""
LONGEST: Final = lake_manifest.GRACE / 2
"""A merge that is not done so long after it began is given up: `sweep` takes files that nobody names for orphans."""
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


class Merger:
    """The merges of one lake, of which one is under way at most. Not shared between threads."""

    def __init__(self, root: Path, state: State) -> None:
        self._root, self._state = root, state
        self._work: Generator[int, datetime, int] | None = None
        self._began: datetime | None = None
        self._vain: set[tuple[str, ...]] = set()

    def compact(self, now: datetime, *, most: int) -> int:
        """At most so many turns; how many files others took the place of, and at least 1 while a merge is under way."""
        gone = 0
        for _ in range(most):
            went = self._turn(now)
            if not went and self._work is None:
                break
            gone += went
        return max(gone, int(self._work is not None))

    def close(self) -> None:
        """Give up what is under way; its files are orphans."""
        if self._work is not None:
            self._work.close()
        self._work = None

    def _turn(self, now: datetime) -> int:
        if self._began is not None and not timedelta(0) <= now - self._began <= LONGEST:
            self.close()
        work, left = self._work, TURN_ROWS
        self._work = None  # an error ends the merge
        if work is None:
            work = self._first(now)
            self._began = now
            left -= next(work)
        try:
            while left > 0:
                left -= work.send(now)
        except StopIteration as done:
            return int(done.value)
        self._work = work
        return 0

    def _first(self, now: datetime) -> Generator[int, datetime, int]:
        """The first merge that can be done. What cannot be merged is tried once: a file that is harmed, columns of
        another type."""
        yield 0
        for plan in _plans(self._state, now):
            names = tuple(file.id for file in plan.files)
            if names in self._vain:
                continue
            gone = yield from _merge(self._root, self._state, plan, now)
            if gone:
                return gone
            self._vain.add(names)
        return 0


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


def _merge(root: Path, state: State, plan: _Plan, now: datetime) -> Generator[int, datetime, int]:
    """Gives the rows of each step, takes the time; how many files went in the end."""
    import pyarrow as pa

    tables = []
    try:
        for file in plan.files:
            opened = open_parquet(root / file.path)
            groups = []
            for number in range(opened.num_row_groups):
                groups.append(opened.read_row_group(number))
                yield groups[-1].num_rows
            tables.append(pa.concat_tables(groups))
    except (DamagedError, OSError, pa.ArrowException):
        return 0  # whoever reads the file for its events says so, and names it
    old = [plan.files[place] for place in alike(tables) or [0]]
    if len(old) < 2 and (plan.tier == HOUR or plan.files[0].tier == DAY):
        return 0
    chosen = [table for table, file in zip(tables, plan.files, strict=True) if file in old]
    merged = pa.concat_tables(chosen, promote_options="default")
    del tables, chosen, groups
    order = in_order(merged)
    parts = [order] if plan.tier == HOUR else list(_by_agency(merged, order))
    written = []
    for part in parts:
        pieces = []
        for first in range(0, len(part), TURN_ROWS):
            pieces.append(merged.take(part.slice(first, TURN_ROWS)))
            now = yield pieces[-1].num_rows
        table = arrange(pa.concat_tables(pieces))
        del pieces
        written.append(write_file(root, plan.dataset, table, lasting=True))
        now = yield table.num_rows
    step("compact.before")
    try:
        _swap(state, plan, old, written, now=now)
    except ConflictError:
        return 0  # rolled back; the new files are orphans, and the next call begins anew
    step("compact.after")
    return len(old)


def _by_agency(table: Any, order: Any) -> Iterator[Any]:
    """The order of the rows, parted by agency; those of agencies with few come in one, the last."""
    import pyarrow as pa
    import pyarrow.compute as pc

    counts = {
        one["values"]: one["counts"]
        for one in pc.value_counts(table.column(events.AGENCY)).to_pylist()
    }
    few = []
    first = 0
    for agency in sorted(counts):
        part = order.slice(first, counts[agency])
        first += counts[agency]
        if counts[agency] < FEW and len(counts) > 1:
            few.append(part)
        else:
            yield part
    if few:
        yield pa.concat_arrays(few)


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
