"""Which files of the lake a search must open, from their manifest rows alone, and their rows by group.

In: the manifest, a scope, a time range, a query. Out: `Facts` of files, newest first; and `Group`, one row
group whose columns are read when they are asked for, in pieces that keep memory bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from pipeline.model import events
from pipeline.model.clock import to_micros
from pipeline.model.errors import DamagedError
from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.state.tables.lake import LakeFile, LakeSchema, Superseded
from pipeline.store import trigrams
from pipeline.store.base import TimeRange
from pipeline.store.columns import from_extra
from pipeline.store.files import damaged
from pipeline.store.lake.footers import open_file
from pipeline.store.masks import field_of, leaf_mask
from pipeline.store.query_tree import And, Everything, Node, Not, Or, Words

PIECE_BYTES: Final = 8 << 20

_PLAIN: Final = frozenset({events.ORIGINAL, events.ID, events.AGENCY})  # read without dictionaries


@dataclass(frozen=True, slots=True)
class Facts:
    """What the manifest knows of a file that a search may have to open."""

    id: str
    path: str
    dataset: str
    columns: str
    agencies: frozenset[str]
    first: datetime
    last: datetime


class Manifest:
    """Reads the manifest for searches; schemas never change and are kept."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._schemas: dict[str, dict[str, str]] = {}

    def read(self, scope: Scope, when: TimeRange) -> tuple[list[Facts], list[bytes]]:
        """The files that may hold what is asked for, newest first, and the ids of superseded events."""
        chosen = sa.select(
            LakeFile.id, LakeFile.path, LakeFile.dataset, LakeFile.columns, LakeFile.agencies,
            LakeFile.first_time, LakeFile.last_time,
        ).where(LakeFile.state == "live")  # fmt: skip
        if when.start is not None:
            chosen = chosen.where(LakeFile.last_time >= when.start)
        if when.stop is not None:
            chosen = chosen.where(LakeFile.first_time < when.stop)
        with self._state.read() as session:
            rows = session.execute(chosen.order_by(LakeFile.last_time.desc())).all()
            gone = [bytes.fromhex(one) for one in session.scalars(sa.select(Superseded.event))]
            unknown = {row.columns for row in rows} - self._schemas.keys()
            if unknown:
                self._schemas |= {
                    one.hash: one.columns for one in session.scalars(sa.select(LakeSchema))
                }
        files = [Facts(r[0], r[1], r[2], r[3], frozenset(r[4]), r[5], r[6]) for r in rows]
        return [f for f in files if any(map(scope.allows, f.agencies))], gone

    def columns(self, file: Facts) -> dict[str, str]:
        """The file's columns and their Arrow types as text."""
        return self._schemas[file.columns]

    def words(self, file: Facts, names: frozenset[str]) -> list[str]:
        """Those of the names that the file has as texts that repeat: they are read as dictionaries."""
        schema = self._schemas[file.columns]
        return [name for name in sorted(names - _PLAIN) if schema.get(name) == "string"]

    def kinds(self, files: Sequence[Facts]) -> dict[str, str]:
        """What the files' own types say of columns that ECS does not know."""
        found: dict[str, str] = {}
        for schema in {file.columns for file in files}:
            for name, kind in self._schemas[schema].items():
                if kind in _KINDS:
                    found.setdefault(name, _KINDS[kind])
        return found


_KINDS: Final = {
    "int64": "long",
    "double": "float",
    "bool": "boolean",
    "timestamp[us, tz=UTC]": "date",
}


def possible(node: Node, file: Facts, columns: dict[str, str]) -> bool | None:
    """Whether the query holds for all (True), none (False) or perhaps some (None) of the file's rows,
    by what stands in the manifest."""
    match node:
        case Everything():
            return True
        case And(parts):
            found = [possible(part, file, columns) for part in parts]
            return False if False in found else None if None in found else True
        case Or(parts):
            found = [possible(part, file, columns) for part in parts]
            return True if True in found else None if None in found else False
        case Not(part):
            inner = possible(part, file, columns)
            return None if inner is None else not inner
        case Words():
            return None
    name = field_of(node)
    known = {events.DATASET: [file.dataset], events.AGENCY: sorted(file.agencies)}.get(name)
    if known is not None:
        import pyarrow as pa

        hits = leaf_mask(node, pa.array(known))
        return True if hits.all() else None if hits.any() else False
    return None if name in columns or events.EXTRA in columns else False


class OpenFile:
    """An open Parquet file of the lake. Not shared between threads."""

    def __init__(
        self, root: Path, file: Facts, dictionaries: list[str], tick: Callable[[], None]
    ) -> None:
        import pyarrow as pa

        self.path, self.tick = root / file.path, tick
        try:
            self.parquet, self.footer = open_file(self.path, dictionaries)
        except FileNotFoundError as error:
            raise DamagedError(
                "a file of the lake is gone",
                where=str(self.path),
                remedy="thapcanh store verify says what it held and mends it",
            ) from error
        except (pa.ArrowException, OSError) as error:
            raise damaged(self.path, error) from error

    def groups(self) -> list[Group]:
        """Its row groups in the order of the file."""
        found, first_row = [], 0
        for number in range(self.parquet.num_row_groups):
            group = Group(self, number, first_row)
            found.append(group)
            first_row += group.count
        return found

    def bounds(self, number: int, name: str) -> tuple[Any, Any] | None:
        """The least and the greatest value of a column in a group, if the file says."""
        statistics = (
            self.footer.metadata.row_group(number).column(self.footer.places[name]).statistics
        )
        if statistics is None or not statistics.has_min_max:
            return None
        return statistics.min, statistics.max

    def bytes_of(self, number: int, name: str) -> int:
        group = self.footer.metadata.row_group(number)
        return sum(group.column(i).total_uncompressed_size for i in self.footer.under(name))


class Group:
    """One row group. Columns are read on first use and, where they are small, kept while it is looked at."""

    def __init__(self, file: OpenFile, number: int, first_row: int) -> None:
        self._file, self._number, self.first_row = file, number, first_row
        self.count: int = file.parquet.metadata.row_group(number).num_rows
        self._kept: dict[str, Any] = {}

    def times(self) -> tuple[int, int]:
        """The bounds of `@timestamp` in microseconds; everything where the file does not say."""
        found = self._file.bounds(self._number, events.TIME)
        return (
            (-(2**63), 2**63 - 1) if found is None else (to_micros(found[0]), to_micros(found[1]))
        )

    def agencies(self) -> tuple[str, str] | None:
        """The first and the last agency in the order of the alphabet."""
        return self._file.bounds(self._number, events.AGENCY)

    def may_hold(self, words: Words) -> bool:
        """See `masks.Rows`. A file of the present hour does not say."""
        bits = self._file.footer.trigrams
        return bits is None or trigrams.may_hold(bits[self._number], words)

    def pieces(self, name: str) -> Iterator[Any]:
        """See `masks.Rows`."""
        if name in self._kept:
            yield from self._kept[name]
            return
        have = self._file.footer.names
        source = name if name in have else events.EXTRA
        if source not in have:
            return
        size = self._file.bytes_of(self._number, source)
        rows = max(1, min(self.count, PIECE_BYTES * self.count // max(size, 1)))
        kept = []
        for table in self._tables(source, rows):
            self._file.tick()
            if source == name:
                piece = table.column(table.schema.get_field_index(name))
            else:
                piece = from_extra(table, [name]).get(name) or _nothing(table.num_rows)
            kept.append(piece)
            yield piece
        if size <= PIECE_BYTES and source == name:
            self._kept[name] = kept

    def whole(self, name: str) -> Any:
        """A small column (a time, an id, an agency) in one array."""
        import pyarrow as pa

        pieces = list(self.pieces(name))
        return pieces[0] if len(pieces) == 1 else pa.chunked_array(pieces).combine_chunks()

    def _tables(self, name: str, rows: int) -> Iterator[Any]:
        """Tables or batches that have the column, perhaps beside others whose names begin with its name."""
        import pyarrow as pa

        parquet, number = self._file.parquet, self._number
        try:
            if rows >= self.count:  # at half the cost of an iterator
                found = parquet.read_row_group(number, [name], use_threads=False)
                yield from [found] if name == events.EXTRA else found.to_batches()
                return
            for batch in parquet.iter_batches(
                batch_size=rows, row_groups=[number], columns=[name], use_threads=False
            ):
                yield pa.Table.from_batches([batch]) if name == events.EXTRA else batch
        except (pa.ArrowException, OSError) as error:
            raise damaged(self._file.path, error) from error


def _nothing(count: int) -> Any:
    import pyarrow as pa

    return pa.nulls(count, pa.string())
