"""What to look for in the events of one dataset: which rules live on which rows, and their anchors.

In: the rules that read the dataset, each with its route's condition and its tree in column names. Out:
per *key* (channel and event id of a row, folded) the rules that can hold there; per column the index
of all anchors. A value that no rule names counts as `OTHER`, so that hostile event ids make no new
keys; `UNKNOWN` stands for a value that is not looked at: there every rule lives.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from pipeline.detect.matching.anchors import anchor_of, weakened
from pipeline.detect.matching.columnar import KEYWORDS, Ints, Mask
from pipeline.detect.matching.index import Index, RawIndex
from pipeline.detect.matching.routed import Routed
from pipeline.detect.matching.tree import FALSE, TRUE, Const, Leaf, Node, leaves, rebuild
from pipeline.detect.matching.verify import Verifier

OTHER: Final = "\ud800other"
UNKNOWN: Final = "\ud800unknown"
MAX_KEYS: Final = 512
MAX_KEY_COLUMNS: Final = 3
Key = tuple[str | None, ...]


class Life(NamedTuple):
    """Of the rows of one key: the routed rules that can hold, and those of them without an anchor."""

    alive: Mask
    always: Ints


class Anchors(NamedTuple):
    """An index of one column, and which routed rules wait for each of its leaves (flat, by leaf)."""

    searched: Index | RawIndex
    first: Ints
    routed: Ints


class Plan:
    """The plan of a dataset. `choose` must have been called before `indexes` is read."""

    def __init__(self, routed: Sequence[Routed]) -> None:
        self.routed = tuple(routed)
        self.rules = np.array([each.rule for each in routed], dtype=np.int64)
        self.verifiers = [Verifier(each.whole) for each in routed]
        self.keys = _key_columns(routed)
        inside = (any(_folds(leaf, self.keys) for leaf in leaves(each.tree)) for each in routed)
        self._inside = np.fromiter(inside, np.bool_, len(self.routed))
        self._groups: dict[tuple[tuple[str, tuple[str, ...]], ...], list[int]] = {}
        for place, each in enumerate(routed):
            self._groups.setdefault(tuple(each.where.items()), []).append(place)
        self._named = [frozenset(self._values(column)) for column in self.keys]
        self._weak = [weakened(each.whole, frozenset(self.keys)) for each in routed]
        self._anchored = np.array([weak is not None for weak in self._weak], dtype=np.bool_)
        self._lives: OrderedDict[Key, Life] = OrderedDict()
        self.indexes: dict[str, Anchors] = {}

    def _values(self, column: str) -> Iterator[str]:
        for each, inside in zip(self.routed, self._inside, strict=True):
            yield from each.where.get(column, ())
            if inside:
                for leaf in leaves(each.tree):
                    if leaf.field == column and leaf.op == "eq" and not leaf.cased:
                        yield leaf.arg

    def canonical(self, place: int, value: str) -> str:
        """A folded value of a key column, or `OTHER`."""
        return value if value in self._named[place] else OTHER

    def knows(self, key: Key) -> bool:
        return key in self._lives

    def life(self, key: Key) -> Life:
        known = self._lives.get(key)
        if known is None:
            known = self._lives[key] = self._make_life(dict(zip(self.keys, key, strict=True)))
            if len(self._lives) > MAX_KEYS:
                self._lives.popitem(last=False)
        else:
            self._lives.move_to_end(key)
        return known

    def _make_life(self, values: Mapping[str, str | None]) -> Life:
        known = {column: value for column, value in values.items() if value != UNKNOWN}
        alive = np.zeros(len(self.routed), dtype=np.bool_)
        for where, places in self._groups.items():
            if all(name not in known or known[name] in wanted for name, wanted in where):
                alive[places] = True
        for place in np.flatnonzero(alive & self._inside).tolist():
            tree = rebuild(self.routed[place].tree, lambda leaf: _folded(leaf, known))
            alive[place] = tree != FALSE
        return Life(alive, np.flatnonzero(alive & ~self._anchored))

    def literals(self) -> dict[str, list[Leaf]]:
        """By column, every literal that could be an anchor."""
        found: dict[str, dict[Leaf, None]] = {}
        for weak in self._weak:
            for leaf in leaves(weak) if weak is not None else ():
                found.setdefault(_column(leaf), {})[leaf] = None
        return {column: list(each) for column, each in found.items()}

    def choose(self, rates: Mapping[Leaf, float], rows: int) -> None:
        """Chooses each rule's anchor by how often literals occurred in `rows` events."""

        def rate(leaf: Leaf) -> float:  # of two that never occurred, the longer is the rarer
            return rates.get(leaf, 0.0) + 1.0 / ((rows + 1) * (len(leaf.arg) + 1))

        wanted: dict[str, dict[Leaf, list[int]]] = {}
        for place, weak in enumerate(self._weak):
            for leaf in anchor_of(weak, rate).leaves if weak is not None else ():
                wanted.setdefault(_column(leaf), {}).setdefault(leaf, []).append(place)
        self.indexes = {column: _anchors(column, found) for column, found in wanted.items()}


def _anchors(column: str, wanted: Mapping[Leaf, Sequence[int]]) -> Anchors:
    index = RawIndex(list(wanted)) if column == KEYWORDS else Index(list(wanted))
    first = np.zeros(len(wanted) + 1, dtype=np.int64)
    first[1:] = np.cumsum([len(each) for each in wanted.values()])
    return Anchors(
        index, first, np.array([one for each in wanted.values() for one in each], dtype=np.int64)
    )


def _key_columns(routed: Sequence[Routed]) -> tuple[str, ...]:
    """The columns that most routes are told apart by."""
    counts: dict[str, int] = {}
    for each in routed:
        for column in each.where:
            counts[column] = counts.get(column, 0) + 1
    return tuple(sorted(counts, key=lambda column: (-counts[column], column))[:MAX_KEY_COLUMNS])


def _column(leaf: Leaf) -> str:
    return leaf.field if leaf.field is not None else KEYWORDS


def _folds(leaf: Leaf, keys: Sequence[str]) -> bool:
    return leaf.field in keys and leaf.op in {"eq", "null", "exists"} and not leaf.cased


def _folded(leaf: Leaf, known: Mapping[str, str | None]) -> Node:
    """A leaf on a key becomes a constant."""
    if leaf.field is None or leaf.field not in known or not _folds(leaf, (leaf.field,)):
        return leaf
    value = known[leaf.field]
    if leaf.op == "eq":
        return Const(value == leaf.arg)
    return TRUE if (value is None) == (leaf.op == "null") else FALSE
