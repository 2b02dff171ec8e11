"""A table of events as the matcher reads it: columns taken apart once, each distinct value looked at once.

In: an Arrow table. Out: per column its distinct values, which row holds which, and rows as records.
A name that is no column is looked for in `thapcanh.extra`; one that is nowhere is missing in every row.

    record = batch.record(7)
    record["winlog.event_data.Image"]       # "c:\\windows\\system32\\cmd.exe", folded; () when missing;
                                            # a tuple when the row holds several values
    record[raw("winlog.event_data.Image")]  # the same as it came
    record[KEYWORDS]                        # every value of the record, folded
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.detect.matching.record import record_values
from pipeline.detect.matching.text import as_text, fold, texts
from pipeline.model import events
from pipeline.model.errors import UsageError

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Texts = str | tuple[str, ...]
NONE: Final[Ints] = np.zeros(0, dtype=np.int64)
KEYWORDS: Final = ""
"""The name of the pseudo-column that holds every value of a record."""


def raw(name: str) -> str:
    """The key under which a record gives a column's texts as they came."""
    return "\0" + name


class Record(dict[str, Texts]):
    """What one row, or one distinct value, says; every text is made when first asked for."""

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[str], Any]) -> None:
        self._read = read

    def __missing__(self, key: str) -> Texts:
        cased = key[:1] == "\0"
        value = self._read(key[1:] if cased else key)
        if value.__class__ is str and value.isascii():
            found: Texts = value if cased else value.lower()
        else:
            many = texts(value) if cased else tuple(map(fold, texts(value)))
            found = many[0] if len(many) == 1 else many
        self[key] = found
        return found


class Column:
    """One column. `codes` gives each row's place among the distinct `values`, -1 for a missing one.

    A column of lists has a code for each item, and `owners` says in which row it stands.
    """

    def __init__(self, name: str, array: Any) -> None:
        self.name, self.size = name, len(array)
        self._array = array
        self.owners: Ints | None = None
        self._values: dict[int, Record] = {}

    def at(self, row: int) -> Any:
        return self._array[row].as_py()

    @property
    def lists(self) -> bool:
        return bool(pa.types.is_nested(self._array.type))

    @cached_property
    def _encoded(self) -> tuple[Ints, Any]:
        array = self._array
        if self.lists:
            full = pc.is_valid(items := pc.list_flatten(array)).to_numpy(zero_copy_only=False)
            owners = pc.list_parent_indices(array).to_numpy(zero_copy_only=False).astype(np.int64)
            self.owners = owners[full]
            array = pc.drop_null(items)
        if pa.types.is_dictionary(array.type):  # whose values may repeat
            array = array.dictionary_decode()
        encoded = pc.dictionary_encode(array)
        codes = encoded.indices
        if codes.null_count:
            codes = pc.fill_null(codes, -1)
        return codes.to_numpy(zero_copy_only=False), _as_texts(encoded.dictionary)

    @property
    def codes(self) -> Ints:
        return self._encoded[0]

    @property
    def values(self) -> Any:
        """The distinct texts as they came, an Arrow array."""
        return self._encoded[1]

    @cached_property
    def counts(self) -> Ints:
        """How many rows hold each distinct value."""
        codes = self.codes
        return np.bincount(codes[codes >= 0], minlength=len(self.values))

    @cached_property
    def folded(self) -> tuple[Any, Ints]:
        """All texts to be searched, folded, and the place of each among the distinct values: a value
        that is not in NFC is there twice."""
        values = self.values
        base = np.arange(len(values), dtype=np.int64)
        lower = pc.ascii_lower(values)
        plain = pc.string_is_ascii(values)
        if pc.all(plain, min_count=0).as_py():
            return lower, base
        odd = np.flatnonzero(~plain.to_numpy(zero_copy_only=False))
        given = values.take(pa.array(odd)).to_pylist()
        made = pa.array(map(fold, given), pa.large_string())
        lower = pc.replace_with_mask(lower, pc.invert(plain), made)
        second = [n for n, text in enumerate(given) if not unicodedata.is_normalized("NFC", text)]
        more = [fold(unicodedata.normalize("NFC", given[n])) for n in second]
        both = pa.concat_arrays([lower, pa.array(more, pa.large_string())])
        return both, np.concatenate([base, odd[second]])

    def value(self, code: int) -> Record:
        """One distinct value as a record that has this column only."""
        known = self._values.get(code)
        if known is None:
            known = self._values[code] = Record(lambda _name: self.values[code].as_py())
        return known

    def rows_of(self, code: Ints, leaf: Ints) -> tuple[Ints, Ints]:
        """Pairs (distinct value, leaf) → pairs (row, leaf)."""
        order = np.argsort(code, kind="stable")
        code, leaf = code[order], leaf[order]
        hit = np.zeros(len(self.values) + 1, dtype=np.bool_)  # the last place is that of code -1
        hit[code] = True
        spots = np.flatnonzero(hit[self.codes])
        held = self.codes[spots]
        first = np.searchsorted(code, held, side="left")
        count = np.searchsorted(code, held, side="right") - first
        rows = spots if self.owners is None else self.owners[spots]
        return np.repeat(rows, count), leaf[spread(first, count)]


class Batch:
    """The columns and rows of one table, each made when first asked for."""

    def __init__(self, table: pa.Table) -> None:
        self.table, self.size = table, table.num_rows
        self._names = frozenset(table.column_names)
        self._columns: dict[str, Column | None] = {}
        self._records: dict[int, Record] = {}

    def column(self, name: str) -> Column | None:
        """None for a column in which no row of the batch has a value."""
        if name not in self._columns:
            array = self._read(name)
            whole = None if array is None or array.null_count == self.size else array
            self._columns[name] = None if whole is None else Column(name, _one_array(whole))
        return self._columns[name]

    def _read(self, name: str) -> Any:
        if name in self._names:
            return self.table.column(name)
        if name in self._rest:
            return pc.map_lookup(
                self.table.column(events.EXTRA).combine_chunks(), pa.scalar(name), "first"
            )
        return None

    @cached_property
    def _rest(self) -> frozenset[str]:
        """The names that occur in `thapcanh.extra`."""
        if events.EXTRA not in self._names:
            return frozenset()
        column = self.table.column(events.EXTRA)
        if not pa.types.is_map(column.type):
            return frozenset()
        keys = (pc.unique(_map_keys(chunk)).to_pylist() for chunk in column.chunks)
        return frozenset(key for each in keys for key in each)

    @cached_property
    def originals(self) -> Any:
        """`event.original` as one array of texts."""
        if events.ORIGINAL not in self._names:
            raise UsageError("keywords are sought in a column that was not read", got=events.ORIGINAL)  # fmt: skip
        return _one_array(self.table.column(events.ORIGINAL)).cast(pa.large_string())

    def record(self, row: int) -> Record:
        known = self._records.get(row)
        if known is None:
            known = self._records[row] = Record(lambda name: self._value(row, name))
        return known

    def _value(self, row: int, name: str) -> Any:
        if name == KEYWORDS:
            return list(record_values(self.originals[row].as_py()))
        column = self.column(name)
        return None if column is None else column.at(row)


def spread(first: Ints, count: Ints) -> Ints:
    """The places `first[i] … first[i] + count[i] - 1` of every i, one after the other."""
    total = int(count.sum())
    ends = np.cumsum(count)
    return np.arange(total, dtype=np.int64) + np.repeat(first - ends + count, count)


def bounds_of(array: Any) -> tuple[Bytes, Ints]:
    """A large-string array's bytes, one text after the other, and the bounds of each text in them."""
    bounds = np.frombuffer(array.buffers()[1], dtype=np.int64, count=len(array) + 1, offset=8 * array.offset)  # fmt: skip
    buffer = array.buffers()[2]
    if buffer is None:
        return np.zeros(0, dtype=np.uint8), bounds
    data = np.frombuffer(buffer, dtype=np.uint8)[bounds[0] : bounds[-1]]
    return data, bounds - bounds[0]


def _one_array(column: Any) -> Any:
    """One Arrow array of a column whatever its chunks; text as large text, so that it always fits."""
    if isinstance(column, pa.ChunkedArray):
        if column.num_chunks == 1:
            return column.chunk(0)
        kind = column.type
        if pa.types.is_string(kind):
            column = column.cast(pa.large_string())
        column = column.combine_chunks()
    return column


def _as_texts(values: Any) -> Any:
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind):
        return values.cast(pa.large_string())
    return pa.array(map(as_text, values.to_pylist()), pa.large_string())


def _map_keys(chunk: Any) -> Any:
    """The keys of a slice of a map column (`chunk.keys` gives those of the whole)."""
    start, stop = chunk.offsets[0].as_py(), chunk.offsets[len(chunk)].as_py()
    return chunk.keys.slice(start, stop - start)
