"""Groups of one dataset to its columns: gather, convert once a field, put every value in its row.

Values of one field are gathered over all groups that have it, converted as one column, and brought
into row order by a single `take`; a row without the field is null. Where two fields fill one
column, the one that the product names first wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from collectors.formats.parsed import Group, values_of
from pipeline.model.events import TIME
from pipeline.normalise.column import Column, Converted
from pipeline.normalise.compile import Entry, Types, plain
from pipeline.normalise.ecs import arrow_type
from pipeline.normalise.plan import Kind, Planner
from pipeline.normalise.raw import gathered, text_array
from pipeline.normalise.types import Array

Rows = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(slots=True)
class _Cells:
    """Values of one field by group, with their rows (of the dataset). With a `separator` they are tuples
    of parts, joined only if they are needed."""

    rows: list[Rows] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    separator: str | None = None

    def add(self, rows: Rows, column: Any) -> None:
        self.rows.append(rows)
        self.values.append(column)


@dataclass(slots=True)
class _Piece:
    array: Array
    rows: Rows
    assumed: Array | None = None


@dataclass(slots=True)
class Assembled:
    """Columns by name, each as long as the dataset has rows; remarks by local row; rows whose time
    was read in an assumed zone; the leftovers."""

    columns: dict[str, Array]
    remarks: dict[int, list[str]]
    assumed: list[int]
    extra: Array | None


class Assembler:
    """Works on one dataset of one batch. `rows` given to it are rows of the dataset."""

    def __init__(
        self,
        planner: Planner,
        types: Types,
        received: Sequence[int],
        zone: str,
        wanted: frozenset[str] | None,
    ) -> None:
        self._planner, self._types = planner, types
        self._received, self._zone, self._wanted = received, zone, wanted
        self._fields: dict[tuple[int, ...], _Cells] = {}
        self._copied: dict[str, _Cells] = {}
        self._extra: list[tuple[str, Rows, Sequence[Any]]] = []
        self._constants: dict[str, list[tuple[Any, Rows]]] = {}
        self._pieces: dict[str, list[_Piece]] = {}
        self._remarks: dict[int, list[str]] = {}

    def add(self, kind: Kind, group: Group, rows: Rows) -> None:
        """Rows of one kind and shape."""
        plan = self._planner.plan(kind, group.names, self._wanted)
        for name, value in kind.constants.items():
            if self._wanted is None or name in self._wanted:
                self._constants.setdefault(name, []).append((value, rows))
        columns, fields, copied = group.columns, self._fields, self._copied
        for position, slots in plan.slots:
            cells = fields.get(slots)
            if cells is None:
                cells = fields[slots] = _Cells()
            cells.add(rows, columns[position])
        for position, name in plan.verbatim:
            cells = copied.get(name)
            if cells is None:
                cells = copied[name] = _Cells()
            cells.add(rows, columns[position])
        for position, name in plan.extra:
            self._extra.append((name, rows, columns[position]))
        for positions, separator, slots in plan.joined:
            cells = fields.setdefault(slots, _Cells())
            parts = (values_of(columns[position]) for position in positions)
            cells.add(rows, list(zip(*parts, strict=True)))
            cells.separator = separator

    def finish(self, count: int) -> Assembled:
        columns = {slots: self._column(cells) for slots, cells in self._fields.items()}
        by_slot = sorted((slot, slots) for slots in self._fields for slot in slots)
        for slot, slots in by_slot:
            self._entry(self._planner.entries[slot], *columns[slots], count)
        for name, cells in self._copied.items():
            rows, column = self._column(cells)
            self._take(plain(self._types.field(name))(column), rows)
        made: dict[str, Array] = {}
        assumed: list[int] = []
        for name in sorted(self._pieces.keys() | self._constants.keys()):
            pieces = self._pieces.get(name, [])
            pieces += self._constant_pieces(name, count)
            if pieces:
                made[name] = _merge(pieces, count)
                assumed += self._assumed(pieces, made[name]) if name == TIME else []
        return Assembled(made, self._remarks, assumed, self._leftovers(count))

    def _column(self, cells: _Cells) -> tuple[Rows, Column]:
        rows = cells.rows[0] if len(cells.rows) == 1 else np.concatenate(cells.rows)
        return rows, Column(
            gathered(cells.values),
            self._received_of(rows),
            self._zone,
            frozenset(),
            cells.separator,
        )

    def _received_of(self, rows: Rows) -> Callable[[], Sequence[int]]:
        received = self._received
        return lambda: [received[row] for row in rows.tolist()]

    def _entry(self, entry: Entry, rows: Rows, column: Column, count: int) -> None:
        """Convert, but only for rows that no entry before has filled: a line often says its time
        three times over, and the first that can be read is enough."""
        earlier = self._pieces.get(entry.targets[0]) if len(entry.targets) == 1 else None
        if earlier:
            filled = np.zeros(count, bool)
            for piece in earlier:
                valid = piece.array.is_valid() if piece.array.null_count else None
                filled[piece.rows if valid is None else piece.rows[np.asarray(valid)]] = True
            left = np.flatnonzero(~filled[rows])
            if not len(left):
                return
            if len(left) < len(rows):
                rows = rows[left]
                column = column.part(left.tolist(), self._received_of(rows))
        self._take(entry.run(column.without(entry.empty)), rows)

    def _take(self, made: Converted, rows: Rows) -> None:
        for index, remark in made.bad:
            self._remarks.setdefault(int(rows[index]), []).append(remark)
        for name, array in made.columns.items():
            if array.null_count == len(array) or (
                self._wanted is not None and name not in self._wanted
            ):
                continue
            self._pieces.setdefault(name, []).append(_Piece(array, rows, made.assumed))

    def _constant_pieces(self, name: str, count: int) -> list[_Piece]:
        from pipeline.normalise.arrow import pa

        found = self._constants.get(name)
        if not found:
            return []
        known = self._types.field(name)
        values: list[Any] = []
        codes: list[Rows] = []
        for value, rows in found:
            made = _typed(value, known.kind, known.many)
            if made not in values:
                values.append(made)
            codes.append(np.full(len(rows), values.index(made), np.int32))
        distinct = pa.array(values, arrow_type(known.kind, many=known.many))
        if len(values) == 1 and sum(map(len, codes)) == count:  # the same in every row
            return [_Piece(pa.repeat(distinct[0], count), np.arange(count, dtype=np.int32))]
        array = distinct.take(pa.array(np.concatenate(codes)))
        return [_Piece(array, np.concatenate([rows for _, rows in found]))]

    @staticmethod
    def _assumed(pieces: Sequence[_Piece], column: Array) -> list[int]:
        """Rows whose winning piece read its time in an assumed zone."""
        rows: list[int] = []
        decided = np.zeros(len(column), bool)
        for piece in pieces:
            valid = np.asarray(piece.array.is_valid())
            if piece.assumed is not None:
                flags = np.asarray(piece.assumed) & valid
                rows += [int(row) for row in piece.rows[flags] if not decided[row]]
            decided[piece.rows[valid]] = True
        return rows

    def _leftovers(self, count: int) -> Array | None:
        """One map a row, names in the order in which they came."""
        from pipeline.normalise.arrow import pa

        if not self._extra:
            return None
        values: list[Any] = []  # by name
        names: dict[str, int] = {}
        keys: list[Rows] = []
        for name, rows, column in self._extra:
            values.append(column)
            keys.append(np.full(len(rows), names.setdefault(name, len(names)), np.int32))
        texts = text_array(gathered(values))
        where = np.concatenate([rows for _, rows, _ in self._extra])
        order = np.argsort(where, kind="stable")
        if texts.null_count:
            order = order[np.asarray(texts.is_valid())[order]]
        code = np.concatenate(keys)[order]
        offsets = np.zeros(count + 1, np.int32)
        np.cumsum(np.bincount(where[order], minlength=count), out=offsets[1:])
        key_array = pa.array(list(names), pa.string()).take(pa.array(code))
        return pa.MapArray.from_arrays(pa.array(offsets), key_array, texts.take(pa.array(order)))


def _typed(value: Any, kind: str, many: bool) -> Any:
    if many:
        return list(value) if isinstance(value, list) else [str(value)]
    if isinstance(value, list):
        return ", ".join(value)
    return str(value) if kind in {"text", "ip", "object"} and not isinstance(value, bool) else value


def _merge(pieces: Sequence[_Piece], count: int) -> Array:
    """One column in row order; an earlier piece wins where it has a value."""
    from pipeline.normalise.arrow import pa

    if (
        len(pieces) == 1
        and len(pieces[0].rows) == count
        and bool((np.diff(pieces[0].rows) == 1).all())
    ):
        return pieces[0].array
    index = np.full(count, -1, np.int32)
    total = sum(len(piece.array) for piece in pieces)
    for piece in reversed(pieces):
        total -= len(piece.array)
        places = np.arange(total, total + len(piece.array), dtype=np.int32)
        if piece.array.null_count:
            valid = np.asarray(piece.array.is_valid())
            index[piece.rows[valid]] = places[valid]
        else:
            index[piece.rows] = places
    whole = pieces[0].array if len(pieces) == 1 else pa.concat_arrays([p.array for p in pieces])
    if len(index) == len(whole) and bool((index == np.arange(count)).all()):
        return whole
    return whole.take(pa.array(index, mask=index < 0))
