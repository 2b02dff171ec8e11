"""Parquet files of the lake: written whole or not at all, read back with what was written checked.

In: a table of events of one dataset. Out: a file ``2026-11-24/windows.sysmon/0193….parquet`` under the
lake's folder, its rows in the order of agency, node and sequence, and `Written`, which is what its
manifest row will say. Until that row is committed the file does not exist for anybody.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pipeline.model import events
from pipeline.model.errors import DamagedError, ServiceAwayError
from pipeline.model.ids import content_hash, new_id
from pipeline.store import trigrams
from pipeline.store.steps import step

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP = 32_768
LASTING_GROUP = 8_192  # people look for few rows in them
ZSTD_LEVEL = 3
QUICK_LEVEL = 1  # of what the hour's merge takes away again
# Values that hardly repeat: a dictionary of them only costs time.
_UNIQUE = frozenset({events.ID, events.ORIGINAL, events.ORIGINAL_BYTES, events.SEQUENCE})
_ORDER = [(events.AGENCY, "ascending"), (events.NODE, "ascending"), (events.SEQUENCE, "ascending")]


@dataclass(frozen=True, slots=True)
class Written:
    """A file on disk and the facts of its rows."""

    id: str
    path: str
    dataset: str
    rows: int
    bytes: int
    digest: str
    columns: dict[str, str]
    spans: dict[str, list[int]]
    agencies: dict[str, int]
    first_time: datetime
    last_time: datetime
    first_created: datetime
    last_created: datetime

    @property
    def schema(self) -> str:
        return content_hash(*(f"{name}\0{kind}" for name, kind in sorted(self.columns.items())))


def arrange(table: pa.Table) -> pa.Table:
    """Rows by agency, node and sequence; columns without a value dropped; dictionaries decoded."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = table.replace_schema_metadata(None)  # a footer's words are of that file alone
    keep = [
        name
        for name in table.column_names
        if name in events.ENVELOPE[:12] or table.column(name).null_count < table.num_rows
    ]
    table = table.select(keep)
    for place, kind in enumerate(table.schema.types):
        if pa.types.is_dictionary(kind):
            name = table.column_names[place]
            table = table.set_column(place, name, table.column(place).cast(kind.value_type))
    if pc.count_distinct(table.column(events.AGENCY)).as_py() > 1 or _nodes(table) > 1:
        order = in_order(table)
        if not _ascending(order):
            table = table.take(order)
    return table


def in_order(table: pa.Table) -> pa.UInt64Array:
    """The places of the rows by agency, node and sequence."""
    import pyarrow.compute as pc

    return pc.sort_indices(table, sort_keys=_ORDER)


def _ascending(order: pa.UInt64Array) -> bool:
    """Whether the rows stand in their order already: the normaliser sees to it, and a copy is dear."""
    import numpy as np

    places = np.asarray(order)
    return bool((places == np.arange(len(places), dtype=places.dtype)).all())


def _nodes(table: pa.Table) -> int:
    import pyarrow.compute as pc

    return int(pc.count_distinct(table.column(events.NODE)).as_py())


def write_file(root: Path, dataset: str, table: pa.Table, *, lasting: bool = False) -> Written:
    """Write an arranged table; durable under its final name when this returns. The footer of a `lasting` one, which
    no merge of the hour takes away again, says which words it cannot hold."""
    identity = new_id()
    facts = describe(table)
    folder = root / f"{facts['first_created']:%Y-%m-%d}" / dataset
    make_folder(folder, root)
    path = folder / f"{identity}.parquet"
    with new_file(path) as sink:
        write_parquet(table, sink, lasting=lasting)
        step("file.written")
    step("file.renamed")
    return Written(
        id=identity,
        path=str(path.relative_to(root)),
        dataset=dataset,
        bytes=sink.size,
        digest=sink.digest,
        columns={
            name: str(kind)
            for name, kind in zip(table.column_names, table.schema.types, strict=True)
        },
        **facts,
    )


def describe(table: pa.Table) -> dict[str, Any]:
    """The facts of a table's rows that let a reader leave the file out."""
    import pyarrow.compute as pc

    agencies = pc.value_counts(table.column(events.AGENCY)).to_pylist()
    nodes = pc.unique(table.column(events.NODE)).to_pylist()
    spans = {}
    for node in nodes:  # mostly one, and a group-by costs more than all of its rows
        column = table.column(events.SEQUENCE)
        if len(nodes) > 1:
            column = column.filter(pc.equal(table.column(events.NODE), node))
        spans[node] = list(pc.min_max(column).as_py().values())
    time, created = (
        pc.min_max(table.column(name)).as_py() for name in (events.TIME, events.CREATED)
    )
    return {
        "rows": table.num_rows,
        "spans": spans,
        "agencies": {one["values"]: one["counts"] for one in agencies},
        "first_time": time["min"],
        "last_time": time["max"],
        "first_created": created["min"],
        "last_created": created["max"],
    }


def write_parquet(table: pa.Table, sink: IO[bytes], *, lasting: bool) -> None:
    import pyarrow.parquet as pq

    rows = LASTING_GROUP if lasting else ROW_GROUP
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        compression_level=ZSTD_LEVEL if lasting else QUICK_LEVEL,
        use_dictionary=[name for name in table.column_names if name not in _UNIQUE],
        write_statistics=[
            name for name in table.column_names if name not in (events.ORIGINAL, events.ID)
        ],
        bloom_filter_options={events.ID: {"ndv": min(table.num_rows, rows), "fpp": 0.01}},
    ) as writer:
        writer.write_table(table, row_group_size=rows)
        if lasting and events.ORIGINAL in table.column_names:
            texts = table.column(events.ORIGINAL)
            groups = [texts.slice(first, rows) for first in range(0, table.num_rows, rows)]
            writer.add_key_value_metadata({trigrams.KEY: trigrams.pack(groups)})


class HashingFile:
    """A binary file for writing that counts and hashes what passes (BLAKE2b-256)."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw, self._digest, self.size, self.closed = (
            raw,
            hashlib.blake2b(digest_size=32),
            0,
            False,
        )

    def write(self, data: Any) -> int:
        self._digest.update(data)
        self.size += len(data)
        return self._raw.write(data)

    def flush(self) -> None:
        self._raw.flush()

    def tell(self) -> int:
        return self.size

    def close(self) -> None:
        """The owner closes the raw file, after the fsync."""

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Any]:
    """A `HashingFile` beside `path`, which it becomes, durably, when the block ends well."""
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as raw:
            yield HashingFile(raw)
            raw.flush()
            os.fsync(raw.fileno())
        part.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ServiceAwayError(
            "the lake cannot be written",
            where=str(path.parent),
            got=str(error),
            remedy="free space or repair the disk; nothing accepted is lost, the work is tried again",
        ) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def make_folder(folder: Path, root: Path) -> None:
    """Make the folder, and its entries durable up to the root."""
    if folder.is_dir():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while folder != root:
            folder = folder.parent
            sync_folder(folder)
    except OSError as error:
        raise ServiceAwayError(
            "the lake cannot be written", where=str(folder), got=str(error)
        ) from error


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=32)
    with path.open("rb") as raw:
        while piece := raw.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def open_parquet(path: Path) -> Any:
    """A `pyarrow.parquet.ParquetFile`. Raises `DamagedError`; a file that is gone, FileNotFoundError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, memory_map=False)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception | str) -> DamagedError:
    return DamagedError(
        "a file of the lake is damaged",
        where=str(path),
        got=str(error).splitlines()[0][:200] if str(error) else type(error).__name__,
        remedy="thapcanh store verify says what it held and mends it",
    )
