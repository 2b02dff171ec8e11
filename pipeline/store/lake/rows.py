"""Single rows of a Parquet file by their numbers, all columns: DuckDB skips the pages between them, where
Arrow would decode a whole row group of perhaps 160 columns (90 ms) for the sake of one event. Of small row groups
Arrow reads all in half the time that DuckDB takes to begin.

In: a file and row numbers. Out: a table of those rows, in the order of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.model.errors import DamagedError
from pipeline.store.files import damaged
from pipeline.store.lake.footers import open_file

if TYPE_CHECKING:
    import pyarrow as pa

SMALL: Final = 2_000
"""Rows of the row groups that Arrow reads whole."""
_ROWS = "SELECT * EXCLUDE (file_row_number) FROM read_parquet($1, file_row_number = true) WHERE file_row_number IN "


@cache
def connection() -> Any:
    """Of this process, in memory."""
    import duckdb

    # A thread a file: the callers are threads themselves.
    made = duckdb.connect(config={"threads": 1, "preserve_insertion_order": True})
    made.execute("SET GLOBAL TimeZone = 'UTC'")
    return made


def rows_of(path: Path, numbers: Sequence[int]) -> pa.Table:
    """The rows with these numbers. Raises DamagedError where the file cannot be read."""
    import pyarrow as pa

    try:
        opened, _ = open_file(path)
        groups, places, count = _places(opened, numbers)
        if count <= SMALL:
            return opened.read_row_groups(groups, use_threads=False).take(places)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error
    # DuckDB takes names that differ in case for the same and renames one: the file's own are put back.
    return _by_pages(path, numbers, opened.schema_arrow.names)


def _places(opened: Any, numbers: Sequence[int]) -> tuple[list[int], list[int], int]:
    """The row groups that hold the rows, the rows' places in those, and how many rows those have."""
    groups, places = list[int](), list[int]()
    first = count = 0
    for group in range(opened.num_row_groups):
        rows = opened.metadata.row_group(group).num_rows
        here = sorted(number - first for number in numbers if first <= number < first + rows)
        if here:
            groups.append(group)
            places += [count + place for place in here]
            count += rows
        first += rows
    return groups, places, count


def _by_pages(path: Path, numbers: Sequence[int], names: Sequence[str]) -> pa.Table:
    import duckdb

    cursor = connection().cursor()
    try:
        marks = ", ".join(f"${place}" for place in range(2, len(numbers) + 2))
        found = cursor.sql(_ROWS + f"({marks})", params=[str(path), *numbers]).to_arrow_table()
        return found.rename_columns(names)
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise DamagedError(
            "a file of the lake cannot be read",
            where=str(path),
            got=str(error).splitlines()[0][:200],
            remedy="`thapcanh doctor` lists what it held; restore it from a backup",
        ) from error
    finally:
        cursor.close()
