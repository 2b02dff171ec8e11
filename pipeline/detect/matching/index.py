"""The index of one column: which of many literal leaves hold of which of its distinct values.

In: uncased literal leaves of one column, then that column of a batch. Out: pairs (distinct value, leaf).
Equal texts are found by hash, parts of texts by one scan over the column's folded bytes. Keywords are
sought in the raw text of the record, as JSON or XML wrote it: see `RawIndex`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html.entities import html5
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.detect.matching.columnar import NONE, Bytes, Column, Ints, bounds_of, spread
from pipeline.detect.matching.required import is_plain
from pipeline.detect.matching.scan import Automaton, RawScanner, chunks
from pipeline.detect.matching.tree import Leaf

# What may hide a plain character of a keyword in raw text. JSON: \\u0020 to \\u007f, and the escapes of
# the three letters beyond ASCII that fold to ASCII ones: ſ (017f), İ (0130), K (212a); those in UTF-8.
# XML: numbers, and every entity that holds a plain character.
HIDING: Final = (
    b"\\u002", b"\\u003", b"\\u004", b"\\u005", b"\\u006", b"\\u007", b"\\u017f", b"\\u0130", b"\\u212a", b"&#",
    "\u017f".encode(), "\u0130".encode(), "\u212a".encode(),
    *sorted({f"&{name}".encode() for name, text in html5.items() if any(map(is_plain, text))}),
)  # fmt: skip


class Index:
    """Of one column; `leaves` are told apart by their places."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self.leaves = tuple(leaves)
        equal: dict[str, int] = {}
        inside: dict[bytes, list[int]] = {}
        for place, leaf in enumerate(self.leaves):
            if leaf.op == "eq":
                equal[leaf.arg] = place
            else:
                inside.setdefault(leaf.arg.encode(), []).append(place)
        self._equal = pa.array(list(equal), pa.large_string())
        self._equal_leaf = np.array(list(equal.values()), dtype=np.int64)
        self._scanner = Automaton(list(inside))
        self._first, self._leaf = _flattened(list(inside.values()))
        self._at_start = np.array([leaf.op == "startswith" for leaf in self.leaves], dtype=np.bool_)
        self._at_end = np.array([leaf.op == "endswith" for leaf in self.leaves], dtype=np.bool_)

    def hits(self, column: Column) -> tuple[Ints, Ints]:
        """(place among the column's distinct values, place of the leaf) of all that hold."""
        texts, base = column.folded
        text, leaf = self._parts(texts)
        if len(self._equal):
            place = pc.index_in(texts, value_set=self._equal)
            whole = np.flatnonzero(pc.is_valid(place).to_numpy(zero_copy_only=False))
            if len(whole):
                which = pc.fill_null(place, 0).to_numpy(zero_copy_only=False)[whole]
                text = np.concatenate([text, whole])
                leaf = np.concatenate([leaf, self._equal_leaf[which]])
        return base[text], leaf

    def _parts(self, texts: Any) -> tuple[Ints, Ints]:
        data, bounds = bounds_of(texts)
        size = len(self.leaves)
        pairs = _by_chunk(data, bounds, self._pairs, size)
        return np.divmod(pairs, size)

    def _pairs(self, data: Bytes, bounds: Ints) -> Ints:
        """Text * leaves + leaf of all that hold, each once."""
        found = self._scanner.find(data, bounds)
        first = self._first[found.literal]
        count = self._first[found.literal + 1] - first
        leaf = self._leaf[spread(first, count)]
        text, begins, ends = (
            np.repeat(each, count) for each in (found.text, found.begins, found.ends)
        )
        right = (~self._at_start[leaf] | (begins == bounds[text])) & (
            ~self._at_end[leaf] | (ends == bounds[text + 1])
        )
        return np.unique(text[right] * len(self.leaves) + leaf[right])


class RawIndex:
    """Keywords in raw records: one too many is no harm, one too few would be a lost finding."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self.leaves = tuple(leaves)
        self._scanner = RawScanner([leaf.arg.encode() for leaf in leaves] + list(HIDING))
        self._size = len(self.leaves) + len(HIDING)

    def hits(self, originals: Any) -> tuple[Ints, Ints, Ints]:
        """(row, place of the leaf), and the rows that may hide a letter: candidates of every leaf."""
        data, bounds = bounds_of(originals)
        row, literal = np.divmod(_by_chunk(data, bounds, self._pairs, self._size), self._size)
        plain = literal < len(self.leaves)
        return row[plain], literal[plain], np.unique(row[~plain])

    def _pairs(self, data: Bytes, bounds: Ints) -> Ints:
        found = self._scanner.find(data, bounds)
        return np.unique(found.text * self._size + found.literal)


def _by_chunk(data: Bytes, bounds: Ints, find: Callable[[Bytes, Ints], Ints], size: int) -> Ints:
    """What `find` gives (text * size + something) over all texts, a bounded part of them at a time."""
    found = [
        find(data[bounds[first] : bounds[last]], bounds[first : last + 1] - bounds[first]) + first * size
        for first, last in chunks(bounds)
    ]  # fmt: skip
    return np.concatenate(found) if found else NONE


def _flattened(lists: Sequence[Sequence[int]]) -> tuple[Ints, Ints]:
    """Where each list begins in the flat array, and the flat array."""
    first = np.zeros(len(lists) + 1, dtype=np.int64)
    first[1:] = np.cumsum([len(each) for each in lists])
    return first, np.array([one for each in lists for one in each], dtype=np.int64)
