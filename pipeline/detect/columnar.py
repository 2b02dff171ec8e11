"""The values of a table, asked leaf by leaf: each distinct value is looked at once, whatever rows hold it.

In: an Arrow table of events, and leaves whose fields are columns of it. Out: a mask of rows per leaf.
A name that is no column is looked for in `thapcanh.extra`; one that is nowhere is missing in every row.
Literals of one field are searched together by an Aho-Corasick automaton over the folded values;
regular expressions (RE2) are asked only for rows that still matter, and each value once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import ahocorasick
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.detect.question import question
from pipeline.detect.record import record_values
from pipeline.detect.reference import refers
from pipeline.detect.text import fold, texts
from pipeline.detect.tree import And, Const, Leaf, Node, Not
from pipeline.model import events
from pipeline.model.errors import UsageError

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
LITERAL_OPS: Final = frozenset({"eq", "contains", "startswith", "endswith"})
_CHEAP: Final = LITERAL_OPS | {"null", "exists"}
KEYWORDS: Final = ""  # the name of the pseudo-field that holds every value of a record


class Field:
    """The distinct values of one field of a table, and the rows that hold them."""

    def __init__(self, size: int, rows: Ints, codes: Ints, values: Sequence[Any]) -> None:
        self._size, self.rows, self.codes, self.values = size, rows, codes, values
        self._asked: dict[Leaf, tuple[Mask, Mask]] = {}

    @cached_property
    def variants(self) -> list[tuple[str, ...]]:
        return [texts(value) for value in self.values]

    @cached_property
    def folded(self) -> list[tuple[str, ...]]:
        return [tuple(map(fold, each)) for each in self.variants]

    @cached_property
    def present(self) -> Mask:
        mask = np.zeros(self._size, dtype=np.bool_)
        mask[self.rows] = True
        return mask

    def rows_of(self, verdicts: Mask) -> Mask:
        mask = np.zeros(self._size, dtype=np.bool_)
        mask[self.rows[verdicts[self.codes]]] = True
        return mask

    def literals(self, search: Search) -> dict[Leaf, Mask]:
        """The rows of every literal leaf that hits something."""
        found: dict[Leaf, list[int]] = {}
        for code, each in enumerate(self.folded):
            for text in each:
                for leaf in search.hits(text):
                    found.setdefault(leaf, []).append(code)
        masks = {}
        for leaf, codes in found.items():
            verdicts = np.zeros(len(self.values), dtype=np.bool_)
            verdicts[codes] = True
            masks[leaf] = self.rows_of(verdicts)
        return masks

    def ask(self, leaf: Leaf, among: Mask, test: Callable[[str], bool]) -> Mask:
        """The rows of `among` of which some value passes; each value is tested once a leaf."""
        known, verdicts = self._asked.setdefault(
            leaf, (np.zeros(len(self.values), np.bool_), np.zeros(len(self.values), np.bool_))
        )
        wanted = np.unique(self.codes[among[self.rows]])
        for code in wanted[~known[wanted]]:
            verdicts[code] = any(map(test, self.variants[code]))
        known[wanted] = True
        return self.rows_of(verdicts) & among

    def texts_at(self, row: int) -> tuple[str, ...]:
        """The folded texts of one row."""
        return tuple(text for code in self.codes[self.rows == row] for text in self.folded[code])


class Search:
    """All uncased literals of one field, searched for at once."""

    def __init__(self, leaves: Iterable[Leaf]) -> None:
        self._equal: dict[str, list[Leaf]] = {}
        inside: dict[str, list[Leaf]] = {}
        self._always: list[Leaf] = []  # `contains ''`: true of every value
        for leaf in leaves:
            if leaf.op == "eq":
                self._equal.setdefault(leaf.arg, []).append(leaf)
            elif leaf.arg:
                inside.setdefault(leaf.arg, []).append(leaf)
            else:
                self._always.append(leaf)
        self._automaton = ahocorasick.Automaton() if inside else None
        if self._automaton is not None:
            for text, found in inside.items():
                self._automaton.add_word(text, (len(text), found))
            self._automaton.make_automaton()

    def hits(self, text: str) -> set[Leaf]:
        found = set(self._always)
        found.update(self._equal.get(text, ()))
        if self._automaton is not None:
            last = len(text) - 1
            for end, (length, leaves) in self._automaton.iter(text):
                for leaf in leaves:
                    if (
                        leaf.op == "contains"
                        or (leaf.op == "startswith" and end == length - 1)
                        or (leaf.op == "endswith" and end == last)
                    ):
                        found.add(leaf)
        return found


class Rows:
    """A table under evaluation: fields are read when first asked for."""

    def __init__(self, table: pa.Table, searches: Mapping[str, Search]) -> None:
        self._table, self._searches = table, searches
        self.size = table.num_rows
        self._none = np.zeros(self.size, dtype=np.bool_)
        self._fields: dict[str, Field] = {}
        self._literals: dict[str, dict[Leaf, Mask]] = {}

    def select(self, node: Node, among: Mask) -> Mask:
        """The rows of `among` for which the tree holds."""
        if isinstance(node, Const):
            return among if node.value else self._none
        if isinstance(node, Leaf):
            return self._leaf(node, among)
        if isinstance(node, Not):
            return among & ~self.select(node.child, among)
        if isinstance(node, And):
            for child in _cheap_first(node.children):
                if not among.any():
                    return self._none
                among = self.select(child, among)
            return among
        found = self._none
        for child in _cheap_first(node.children):
            found = found | self.select(child, among & ~found)
        return found

    def field(self, name: str) -> Field:
        if name not in self._fields:
            read = _keywords if name == KEYWORDS else _column
            self._fields[name] = read(self._table, name)
        return self._fields[name]

    def _leaf(self, leaf: Leaf, among: Mask) -> Mask:
        name = leaf.field or KEYWORDS
        if leaf.op in LITERAL_OPS and not leaf.cased:
            if name not in self._literals:
                self._literals[name] = self.field(name).literals(self._searches[name])
            return self._literals[name].get(leaf, self._none) & among
        field = self.field(name)
        if leaf.op == "null":
            return among & ~field.present
        if leaf.op == "exists":
            return among & field.present
        if leaf.op.startswith("ref_"):
            return self._reference(leaf, field, among & field.present)
        return field.ask(leaf, among & field.present, question(leaf))

    def _reference(self, leaf: Leaf, field: Field, among: Mask) -> Mask:
        other = self.field(leaf.arg)
        found = self._none.copy()
        for row in map(int, np.flatnonzero(among)):
            ours, theirs = field.texts_at(row), other.texts_at(row)
            found[row] = any(refers(leaf.op, one, two) for one in ours for two in theirs)
        return found


def _cheap_first(children: Sequence[Node]) -> list[Node]:
    return sorted(children, key=_cost)


def _cost(node: Node) -> int:
    if isinstance(node, Leaf):
        return 0 if node.op in _CHEAP and not node.cased else 9 if node.op == "re" else 3
    if isinstance(node, Const):
        return 0
    return 1 + max(
        _cost(child) for child in ((node.child,) if isinstance(node, Not) else node.children)
    )


def _column(table: pa.Table, name: str) -> Field:
    if name in table.column_names:
        return _field_of(table.column(name).combine_chunks())
    if events.EXTRA in table.column_names and table.num_rows:
        found = pc.map_lookup(table.column(events.EXTRA).combine_chunks(), name, "first")
        return _field_of(found)
    return Field(table.num_rows, _ints([]), _ints([]), [])


def _field_of(array: Any) -> Field:
    size = len(array)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        rows = pc.list_parent_indices(array).to_numpy(zero_copy_only=False).astype(np.int64)
        array = pc.list_flatten(array)
        full = pc.is_valid(array).to_numpy(zero_copy_only=False)
        rows = rows[full]
    else:
        rows = np.flatnonzero(pc.is_valid(array).to_numpy(zero_copy_only=False)).astype(np.int64)
    encoded = array if pa.types.is_dictionary(array.type) else pc.dictionary_encode(array)
    codes = pc.drop_null(encoded.indices).to_numpy(zero_copy_only=False).astype(np.int64)
    return Field(size, rows, codes, encoded.dictionary.to_pylist())


def _keywords(table: pa.Table, _name: str) -> Field:
    """Every value of the record as it came, whatever its field: what a rule's keywords are sought in."""
    if events.ORIGINAL not in table.column_names:
        raise UsageError("keywords are sought in a column that was not read", got=events.ORIGINAL)
    places: dict[str, int] = {}
    rows: list[int] = []
    codes: list[int] = []
    for row, original in enumerate(table.column(events.ORIGINAL).to_pylist()):
        for value in record_values(original):
            rows.append(row)
            codes.append(places.setdefault(value, len(places)))
    return Field(table.num_rows, _ints(rows), _ints(codes), list(places))


def _ints(values: Sequence[int]) -> Ints:
    return np.asarray(values, dtype=np.int64)
