"""Single rows of a Parquet file by their numbers, all columns: DuckDB skips the pages between them, where
Arrow would decode a whole row group of perhaps 160 columns (90 ms) for the sake of one event.

In: a file and row numbers. Out: a table of those rows, in the order of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.model.errors import DamagedError
from pipeline.store.files import open_parquet

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = "SELECT * EXCLUDE (file_row_number) FROM read_parquet($1, file_row_number = true) WHERE file_row_number IN "


@cache
def connection() -> Any:
    """Of this process, in memory."""
    import duckdb

    # A thread a file: the callers are threads themselves.
    return duckdb.connect(config={"threads": 1, "preserve_insertion_order": True})


def rows_of(path: Path, numbers: Sequence[int]) -> pa.Table:
    """The rows with these numbers. Raises DamagedError where the file cannot be read."""
    import duckdb

    # DuckDB takes names that differ in case for the same and renames one: the file's own are put back.
    names = open_parquet(path).schema_arrow.names
    cursor = connection().cursor()
    try:
        cursor.execute("SET TimeZone = 'UTC'")
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
