"""A window of sequences as tables, in order, in bounded memory.

In: a window, the wanted columns by dataset, a scope. Out: `(dataset, table)`, a few ten thousand
sequences at a time, rows by sequence, superseded events left out. A file that cannot be read stops
the scan with `DamagedError`: a detection run over half a window would be a gap that nobody sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.model import events
from pipeline.model.scope import Scope
from pipeline.state.tables.lake import LakeFile
from pipeline.store.columns import ALWAYS, concat, from_extra, shaped
from pipeline.store.files import damaged, open_parquet

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 50_000
Spanned = tuple[LakeFile, int, int]
Wanted = Mapping[str, frozenset[str]] | None


def chunks(
    files: Sequence[Spanned], after: int, upto: int, size: int = CHUNK
) -> Iterator[tuple[int, int]]:
    """Cut `(after, upto]` into pieces of about `size`, between commits where that is possible."""
    clean = _clean_cuts(files)
    while after < upto:
        stop = min(after + size, upto)
        if stop < upto:
            stop = max((cut for cut in clean if after < cut <= stop), default=stop)
        yield after, stop
        after = stop


def _clean_cuts(files: Sequence[Spanned]) -> list[int]:
    """Sequences at which no file is cut in two (files come by the start of their span)."""
    cuts: list[int] = []
    reach = 0
    for _, first, last in files:
        if reach and first > reach:
            cuts.append(reach)
        reach = max(reach, last)
    return cuts


class Reader:
    """Reads pieces of files of one lake for one scan."""

    def __init__(
        self,
        root: Path,
        *,
        scope: Scope,
        wanted: Wanted,
        superseded: Sequence[bytes],
        on_damage: Callable[[LakeFile, Exception], None],
    ) -> None:
        self._root, self._scope, self._wanted = root, scope, wanted
        self._superseded, self._on_damage = superseded, on_damage

    def chunk(
        self, files: Sequence[Spanned], node: str, after: int, upto: int
    ) -> Iterator[tuple[str, pa.Table]]:
        """The events of `(after, upto]` by dataset."""
        datasets: dict[str, list[pa.Table]] = {}
        for file, first, last in files:
            if last <= after or first > upto or not self.wants(file):
                continue
            table = self._read(file, node, after, upto)
            if table.num_rows:
                datasets.setdefault(file.dataset, []).append(table)
        for dataset in sorted(datasets):
            table = _by_sequence(concat(datasets[dataset]))
            if self._wanted is not None:
                table = shaped(table, self._wanted[dataset])
            yield dataset, table

    def wants(self, file: LakeFile) -> bool:
        if self._wanted is not None and file.dataset not in self._wanted:
            return False
        return self._scope.agencies is None or not self._scope.agencies.isdisjoint(file.agencies)

    def _read(self, file: LakeFile, node: str, after: int, upto: int) -> pa.Table:
        import pyarrow as pa

        path = self._root / file.path
        if file.state == "quarantined":
            raise damaged(path, "quarantined earlier")
        try:
            parquet = open_parquet(path)
            with parquet:
                names = set(parquet.schema_arrow.names)
                groups = _groups(parquet, after, upto) if len(file.spans) == 1 else None
                table = _columns(parquet, self._names(file.dataset, names), groups)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError) as error:
            self._on_damage(file, error)
            raise damaged(path, error) from error
        except Exception as error:
            self._on_damage(file, error)
            raise
        return self._resolved(self._kept(table, file, node, after, upto), file.dataset)

    def _names(self, dataset: str, have: set[str]) -> list[str] | None:
        if self._wanted is None:
            return None
        wanted = self._wanted[dataset] | set(ALWAYS)
        if not wanted <= have:
            wanted |= {events.EXTRA}
        return sorted(wanted & have)

    def _kept(self, table: pa.Table, file: LakeFile, node: str, after: int, upto: int) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        masks: list[Any] = []
        sequence = table.column(events.SEQUENCE)
        first, last = file.spans[node]
        if first <= after or last > upto or len(file.spans) > 1:
            masks.append(pc.and_(pc.greater(sequence, after), pc.less_equal(sequence, upto)))
        if len(file.spans) > 1:
            masks.append(pc.equal(table.column(events.NODE), node))
        allowed = self._scope.agencies
        if allowed is not None and not allowed.issuperset(file.agencies):
            masks.append(
                pc.is_in(
                    table.column(events.AGENCY), value_set=pa.array(sorted(allowed), pa.string())
                )
            )
        if self._superseded:
            gone = pa.array(self._superseded, pa.binary(16))
            masks.append(pc.invert(pc.is_in(table.column(events.ID), value_set=gone)))
        for mask in masks[1:]:
            masks[0] = pc.and_(masks[0], mask)
        return table.filter(masks[0]) if masks else table

    def _resolved(self, table: pa.Table, dataset: str) -> pa.Table:
        """Names that are no columns here are taken from the map."""
        if self._wanted is None or events.EXTRA not in table.column_names:
            return table
        missing = self._wanted[dataset] - set(table.column_names)
        for name, values in from_extra(table, missing).items():
            table = table.append_column(name, values)
        return (
            table if events.EXTRA in self._wanted[dataset] else table.drop_columns([events.EXTRA])
        )


def _groups(parquet: Any, after: int, upto: int) -> list[int]:
    """Row groups whose statistics allow a sequence of the window."""
    place = parquet.schema_arrow.get_field_index(events.SEQUENCE)
    column = next(
        number
        for number in range(parquet.metadata.num_columns)
        if parquet.metadata.schema.column(number).path == events.SEQUENCE
    )
    assert place >= 0
    found = []
    for group in range(parquet.num_row_groups):
        known = parquet.metadata.row_group(group).column(column).statistics
        if known is None or not known.has_min_max or (known.max > after and known.min <= upto):
            found.append(group)
    return found


def _columns(parquet: Any, names: list[str] | None, groups: list[int] | None) -> pa.Table:
    """Exactly these columns: Parquet's own selection is by prefix of dotted names."""
    table = (
        parquet.read(columns=names, use_threads=False)
        if groups is None or len(groups) == parquet.num_row_groups
        else parquet.read_row_groups(groups, columns=names, use_threads=False)
    )
    return table if names is None else table.select(names)


def _by_sequence(table: pa.Table) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    order = np.asarray(table.column(events.SEQUENCE))
    if len(order) > 1 and (order[1:] <= order[:-1]).any():
        return table.take(pa.array(np.argsort(order, kind="stable")))
    return table.combine_chunks() if table.column(0).num_chunks > 1 else table
