"""Events of the lake by sequence: which files hold a window, and of them which row groups.

In: spans of nodes, a scope, columns. Out: tables in the order of commits, rows by sequence; one file at a time is in
memory. The manifest leaves out files, the statistics of agency, node and sequence leave out row groups: a day's file
of one agency is not read whole for a window of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from pipeline.model import events
from pipeline.model.errors import DamagedError
from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.state.tables.lake import LakeFile, LakeSpan, Superseded
from pipeline.store.columns import ALWAYS, from_extra
from pipeline.store.files import damaged, open_parquet

if TYPE_CHECKING:
    import pyarrow as pa

_REMEDY: Final = "thapcanh store verify says what it held and mends it"
Spans = Mapping[str, tuple[int, int]]
"""Node to the sequences after the first number, up to the second."""


def scan(
    root: Path,
    state: State,
    spans: Spans,
    *,
    scope: Scope,
    columns: Mapping[str, frozenset[str] | None] | None,
    superseded: bool = False,
) -> Iterator[tuple[str, pa.Table]]:
    """See `base.Store.scan`; with `superseded`, those events too."""
    overlap = [
        sa.and_(LakeSpan.node == node, LakeSpan.last > after, LakeSpan.first <= upto)
        for node, (after, upto) in spans.items()
        if upto > after
    ]
    if not overlap:
        return
    chosen = (
        sa.select(LakeFile)
        .where(LakeFile.id.in_(sa.select(LakeSpan.file).where(sa.or_(*overlap))))
        .where(LakeFile.state == "live")
        .order_by(LakeFile.number)
    )
    with state.read() as session:
        files = list(session.scalars(chosen))
        gone = set() if superseded else set(session.scalars(sa.select(Superseded.event)))
    for file in files:
        if columns is not None and file.dataset not in columns:
            continue
        if not any(map(scope.allows, file.agencies)):
            continue
        wanted = columns[file.dataset] if columns is not None else None
        read = _read(root / file.path, wanted, spans, scope)
        table = None if read is None else _within(read, spans, scope, gone)
        if table is not None and table.num_rows:
            yield file.dataset, table


def _read(path: Path, wanted: frozenset[str] | None, spans: Spans, scope: Scope) -> pa.Table | None:
    """The wanted columns of the row groups that may hold what is asked for, each name a column (read, from
    the map, or absent); None if no row group can."""
    import pyarrow as pa

    try:
        opened = open_parquet(path)
        groups = _groups(opened, spans, scope)
        if not groups:
            return None
        if wanted is None:
            return opened.read_row_groups(groups)
        names = {*ALWAYS, *wanted}
        have = [name for name in opened.schema_arrow.names if name in names or name == events.EXTRA]
        table = opened.read_row_groups(groups, have)
    except FileNotFoundError as error:
        raise DamagedError("a file of the lake is gone", where=str(path), remedy=_REMEDY) from error
    except (pa.ArrowException, OSError) as error:  # its footer is whole, its pages are not
        raise damaged(path, error) from error
    missing = names - set(table.column_names)
    if events.EXTRA in table.column_names:
        for name, values in from_extra(table, missing).items():
            table = table.append_column(name, values)
        if events.EXTRA not in names:
            table = table.drop_columns([events.EXTRA])
    return table


def _groups(opened: Any, spans: Spans, scope: Scope) -> list[int]:
    """The row groups that their statistics do not rule out."""
    meta = opened.metadata
    places = {meta.schema.column(i).path: i for i in range(meta.num_columns)}

    def bounds(number: int, name: str) -> tuple[Any, Any] | None:
        found = meta.row_group(number).column(places[name]).statistics
        return (found.min, found.max) if found is not None and found.has_min_max else None

    def possible(number: int) -> bool:
        agency = bounds(number, events.AGENCY)
        if agency is not None and not _between(agency, scope):
            return False
        node, sequence = bounds(number, events.NODE), bounds(number, events.SEQUENCE)
        if node is None or sequence is None:
            return True
        return any(
            node[0] <= name <= node[1] and sequence[1] > after and sequence[0] <= upto
            for name, (after, upto) in spans.items()
        )

    return [number for number in range(meta.num_row_groups) if possible(number)]


def _between(agency: tuple[Any, Any], scope: Scope) -> bool:
    return scope.agencies is None or any(agency[0] <= one <= agency[1] for one in scope.agencies)


def _within(table: pa.Table, spans: Spans, scope: Scope, gone: set[str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    keep = pa.array([False] * table.num_rows)
    sequence, node = table.column(events.SEQUENCE), table.column(events.NODE)
    for name, (after, upto) in spans.items():
        inside = pc.and_(pc.greater(sequence, after), pc.less_equal(sequence, upto))
        keep = pc.or_(keep, pc.and_(pc.equal(node, name), inside))
    if scope.agencies is not None:
        keep = pc.and_(
            keep,
            pc.is_in(
                table.column(events.AGENCY), value_set=pa.array(sorted(scope.agencies), pa.string())
            ),
        )
    if gone:
        ids = pa.array([bytes.fromhex(one) for one in sorted(gone)], pa.binary(16))
        keep = pc.and_(
            keep, pc.invert(pc.is_in(table.column(events.ID).cast(pa.binary(16)), value_set=ids))
        )
    if not pc.all(keep, min_count=0).as_py():
        table = table.filter(keep)
    if _in_order(table):  # as nearly every file is; a copy of all its bytes is spared
        return table
    return table.sort_by([(events.NODE, "ascending"), (events.SEQUENCE, "ascending")])


def _in_order(table: pa.Table) -> bool:
    """Whether the rows are of one node, by sequence."""
    import numpy as np
    import pyarrow.compute as pc

    numbers = table.column(events.SEQUENCE).to_numpy()
    one = pc.count_distinct(table.column(events.NODE)).as_py() <= 1
    return one and bool((np.diff(numbers) > 0).all())
