"""Columns of events by name, wherever they stand: as a column of the file, or in `thapcanh.extra`.

In: tables of one dataset whose column sets differ. Out: one table in which every wanted name is a
column: read, taken from the map, or null.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pipeline.model import events

if TYPE_CHECKING:
    import pyarrow as pa

# What comes with every scan, unasked.
ALWAYS = tuple(
    name for name in events.ENVELOPE if name not in (events.ORIGINAL, events.ORIGINAL_BYTES)
)


def from_extra(table: pa.Table, names: Iterable[str]) -> dict[str, pa.Array]:
    """For each name that occurs as a key of the table's `thapcanh.extra`: its values by row."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(names), pa.string())
    column = table.column(events.EXTRA).combine_chunks()
    if not len(wanted) or not len(column):
        return {}
    keys, items = column.keys, column.items
    which = pc.index_in(keys, value_set=wanted)
    positions = np.flatnonzero(~np.asarray(pc.is_null(which)))
    if not len(positions):
        return {}
    offsets = np.asarray(column.offsets) - column.offsets[0].as_py()
    rows = np.searchsorted(offsets, positions, side="right") - 1
    names_at = np.asarray(which.take(pa.array(positions)))
    found: dict[str, pa.Array] = {}
    for name in np.unique(names_at):
        here = names_at == name
        places = np.full(table.num_rows, -1, dtype=np.int64)
        places[rows[here]] = positions[here]
        found[wanted[int(name)].as_py()] = items.take(pa.array(places, mask=places < 0))
    return found


def concat(tables: Sequence[pa.Table]) -> pa.Table:
    """One table of all columns that occur; where types cannot be widened to one, text."""
    import pyarrow as pa

    if len(tables) == 1:
        return tables[0]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        kinds: dict[str, set[pa.DataType]] = {}
        for table in tables:
            for field in table.schema:
                kinds.setdefault(field.name, set()).add(field.type)
        torn = {name for name, found in kinds.items() if len(found) > 1}
        return pa.concat_tables(
            [_as_text(table, torn) for table in tables], promote_options="permissive"
        )


def _as_text(table: pa.Table, names: set[str]) -> pa.Table:
    import pyarrow as pa

    for place, name in enumerate(table.column_names):
        kind = table.schema.field(place).type
        if name not in names or pa.types.is_string(kind):
            continue
        if pa.types.is_list(kind):
            raise TypeError(f"column {name} is a list in one file and plain in another")
        table = table.set_column(place, name, table.column(place).cast(pa.string()))
    return table


def shaped(table: pa.Table, wanted: frozenset[str]) -> pa.Table:
    """Exactly the always-columns and the wanted ones; what the table lacks is null text."""
    import pyarrow as pa

    names = [*ALWAYS, *sorted(wanted - set(ALWAYS))]
    nothing = pa.nulls(table.num_rows, pa.string())
    have = set(table.column_names)
    return pa.table({name: table.column(name) if name in have else nothing for name in names})
