"""Events of one file of the lake by their ids, reading as little of it as can be.

In: a file and ids. Out: a table of those rows, or None. Of a few ids the file's bloom filters say which row groups cannot
hold any; of the others the ids alone are read; and then just the rows that were found.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.model import events
from pipeline.model.errors import DamagedError
from pipeline.store.files import damaged, open_parquet
from pipeline.store.lake.rows import connection, rows_of

if TYPE_CHECKING:
    import pyarrow as pa

FEW: Final = 8
"""So many ids are asked of the bloom filters, one by one; of more it costs less to read all ids."""
_PROBE: Final = "SELECT row_group_id FROM parquet_bloom_probe($1, 'event.id', $2) WHERE NOT bloom_filter_excludes"


def rows_with(path: Path, ids: Sequence[bytes]) -> pa.Table | None:
    """Raises DamagedError where the file cannot be read."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        opened = open_parquet(path)
        wanted = pa.array(ids, pa.binary(16))
        possible = set(range(opened.num_row_groups))
        if len(ids) <= FEW:
            possible = groups_with(path, ids)
        first, numbers = 0, list[int]()
        for group in range(opened.num_row_groups):
            if group in possible:
                column = opened.read_row_group(group, [events.ID]).column(0).cast(pa.binary(16))
                hits = pc.is_in(column, value_set=wanted).to_numpy()
                numbers += (np.flatnonzero(hits) + first).tolist()
            first += opened.metadata.row_group(group).num_rows
    except FileNotFoundError as error:
        raise DamagedError(
            "a file of the lake is gone", where=str(path),
            remedy="thapcanh store verify says what it held and mends it",
        ) from error  # fmt: skip
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error
    return rows_of(path, numbers) if numbers else None


def groups_with(path: Path, ids: Sequence[bytes]) -> set[int]:
    """The row groups that may hold one of the ids, by their bloom filters."""
    import duckdb

    cursor = connection().cursor()
    try:
        return {
            row[0] for one in ids for row in cursor.execute(_PROBE, [str(path), one]).fetchall()
        }
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise damaged(path, error) from error
    finally:
        cursor.close()
