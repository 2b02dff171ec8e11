"""The set matcher: every rule over every event of a table, by way of anchors.

In: the plan of a dataset and a table of it. Out: the pairs (row, rule) that match, exactly those that
the reference evaluator finds.

    key of each row ─▶ rules that live there
    anchors in the distinct values ─▶ (value, leaf) ─▶ (row, rule), of rules that live ─▶ verified

Which literals are anchors is chosen by how often they occur in the events met so far, and chosen anew
when more candidates come than were to be expected.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from pipeline.detect.matching.columnar import KEYWORDS, NONE, Batch, Ints, Mask, spread
from pipeline.detect.matching.index import Index, RawIndex
from pipeline.detect.matching.plan import UNKNOWN, Key, Life, Plan
from pipeline.detect.matching.text import fold, nfc
from pipeline.detect.matching.tree import Leaf
from pipeline.model.memory import collector_at_rest

MAX_ROWS: Final = 65_536
MAX_BYTES: Final = 96 << 20
MAX_PAIRS: Final = 1 << 24
NEW_KEYS: Final = 128  # a batch; further ones share the plan in which every rule lives
_SAMPLE: Final = 16_384


class _CrowdError(Exception):
    """More candidates than should be in memory at once."""


class Matcher:
    """Matches the events of one dataset. Lives long: what it learns of one table serves the next."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lock = threading.Lock()
        self._rates: dict[Leaf, float] = {}
        self._seen = 0  # rows that the rates were counted on
        self._rows = self._pairs = 0  # since the last look
        self._expected: float | None = None  # candidates a row, at first
        self._patience = _SAMPLE  # rows between two looks

    def match(self, table: pa.Table) -> tuple[Ints, Ints]:
        """Rows of the table and places of rules, sorted by row, then rule."""
        rows, rules = [NONE], [NONE]
        with self._lock, collector_at_rest():
            for start, part in _pieces(table):
                for begin, found in self._match(part):
                    rows.append(found[0] + start + begin)
                    rules.append(found[1])
        return np.concatenate(rows), np.concatenate(rules)

    def _match(self, table: pa.Table) -> Iterator[tuple[int, tuple[Ints, Ints]]]:
        """The matches of the table's parts: of one, or of two where there are too many candidates."""
        batch = Batch(table)
        self._look(batch)
        lives, key_of_row = self._lives(batch)
        alive = np.stack([life.alive for life in lives])
        try:
            rows, routed, hiding = self._candidates(batch, alive, key_of_row)
        except _CrowdError:
            half = batch.size // 2
            yield from self._match(table.slice(0, half))
            for begin, found in self._match(table.slice(half)):
                yield half + begin, found
            return
        self._rows += batch.size
        self._pairs += len(rows)
        parts = [self._verified(batch, rows, routed)]
        for place, life in enumerate(lives):
            here = np.flatnonzero(key_of_row == place)
            parts += self._asked(batch, here, life.always)
            if len(hiding):
                hidden = np.intersect1d(here, hiding, assume_unique=True)
                keywords = np.unique(self._plan.indexes[KEYWORDS].routed)
                parts += self._asked(batch, hidden, keywords[life.alive[keywords]])
        rows, routed = (np.concatenate(each) for each in zip(*parts, strict=True))
        rules = self._plan.rules[routed]
        most = int(rules.max(initial=0)) + 1
        pairs = np.unique(rows * most + rules)  # a rule with two routes counts once
        yield 0, (pairs // most, pairs % most)

    def _asked(self, batch: Batch, rows: Ints, routed: Ints) -> list[tuple[Ints, Ints]]:
        """The matches among all pairs of these rows and routed rules."""
        found = []
        for rule in routed.tolist() if len(rows) else ():
            good = rows[self._plan.verifiers[rule].of_rows(batch, rows)]
            found.append((good, np.full(len(good), rule, dtype=np.int64)))
        return found

    def _lives(self, batch: Batch) -> tuple[list[Life], Ints]:
        """The lives of the batch's keys, and which of them each row has."""
        plan = self._plan
        place = np.zeros(batch.size, dtype=np.int64)
        keys: list[Key] = [()]
        for number, name in enumerate(plan.keys):
            values, codes = self._key_values(batch, number, name)
            both, place = np.unique(place * len(values) + codes, return_inverse=True)
            pairs = ((pair // len(values), pair % len(values)) for pair in both.tolist())
            keys = [(*keys[one], values[two]) for one, two in pairs]
        crowd = np.bincount(place, minlength=len(keys))
        shared: Key = (UNKNOWN,) * len(plan.keys)
        new = [n for n in np.argsort(-crowd).tolist() if not plan.knows(keys[n])]
        for n in new[NEW_KEYS:]:
            keys[n] = shared
        canonical: dict[Key, int] = {}
        merged = np.array(
            [canonical.setdefault(key, len(canonical)) for key in keys], dtype=np.int64
        )
        return [plan.life(key) for key in canonical], merged[place]

    def _key_values(self, batch: Batch, number: int, name: str) -> tuple[list[str | None], Ints]:
        """The canonical values of a key column that occur, and each row's place among them."""
        column = batch.column(name)
        if column is None:
            return [None], np.zeros(batch.size, dtype=np.int64)
        if column.lists:
            return [UNKNOWN], np.zeros(batch.size, dtype=np.int64)
        values: dict[str | None, int] = {}
        places = [
            values.setdefault(self._plan.canonical(number, fold(text)) if nfc(text) == text else UNKNOWN, len(values))
            for text in column.values.to_pylist()
        ]  # fmt: skip
        places.append(values.setdefault(None, len(values)))  # code -1
        return list(values), np.array(places, dtype=np.int64)[column.codes]

    def _candidates(self, batch: Batch, alive: Mask, key_of_row: Ints) -> tuple[Ints, Ints, Ints]:
        """Pairs (row, routed rule) of which an anchor was seen, without repeats; and the rows that may
        hide a keyword."""
        found, hiding, total = [NONE], NONE, 0
        for name, anchors in self._plan.indexes.items():
            lives = alive[:, anchors.routed]
            if not lives.any():
                continue
            rows, leaf, hidden = _hits(batch, name, anchors.searched)
            hiding = hidden if len(hidden) else hiding
            if not len(rows):
                continue
            wanted = np.logical_or.reduceat(lives, anchors.first[:-1], axis=1)
            good = wanted[key_of_row[rows], leaf]
            rows, leaf = rows[good], leaf[good]
            first = anchors.first[leaf]
            count = anchors.first[leaf + 1] - first
            total += int(count.sum())
            if total > MAX_PAIRS and batch.size > 1:
                raise _CrowdError
            entry, rows = spread(first, count), np.repeat(rows, count)
            good = lives[key_of_row[rows], entry]
            found.append(anchors.routed[entry[good]] * batch.size + rows[good])
        pairs = np.unique(np.concatenate(found))
        return pairs % batch.size, pairs // batch.size, hiding

    def _verified(self, batch: Batch, rows: Ints, routed: Ints) -> tuple[Ints, Ints]:
        """Those of the pairs that hold. They come sorted by rule."""
        places, first = np.unique(routed, return_index=True)
        bounds = np.append(first, len(routed)).tolist()
        good = [
            self._plan.verifiers[place].of_rows(batch, rows[bounds[number] : bounds[number + 1]])
            for number, place in enumerate(places.tolist())
        ]
        held = np.concatenate(good) if good else np.zeros(0, dtype=np.bool_)
        return rows[held], routed[held]

    def _look(self, batch: Batch) -> None:
        """Chooses anchors at the first batch, when far more events are at hand than were counted, and
        when more candidates come than did at first; each such time the next look is further off."""
        counted = min(batch.size, _SAMPLE)
        if counted >= 4 * self._seen:
            self._learn(batch, counted)
        elif self._rows >= self._patience:
            share = self._pairs / self._rows
            self._rows = self._pairs = 0
            if self._expected is None:
                self._expected = share
            elif share > 2 * self._expected + 0.2:
                self._patience *= 2
                self._learn(batch, counted)

    def _learn(self, batch: Batch, counted: int) -> None:
        """Counts every literal in the batch's first rows; what was learnt before weighs half."""
        rates = {leaf: rate / 2 for leaf, rate in self._rates.items()}
        found = measured(Batch(batch.table.slice(0, counted)), self._plan.literals())
        for leaf, rate in found.items():
            rates[leaf] = max(rate, rates.get(leaf, 0.0))
        self._rates = {leaf: rate for leaf, rate in rates.items() if rate > 1e-6}
        self._seen = max(self._seen, counted)
        self._rows = self._pairs = 0
        self._expected = None
        self._plan.choose(self._rates, self._seen)


def measured(batch: Batch, literals: Mapping[str, Sequence[Leaf]]) -> dict[Leaf, float]:
    """In which share of the rows each literal occurs; those that never do are left out."""
    rates: dict[Leaf, float] = {}
    for name, leaves in literals.items():
        index = RawIndex(leaves) if name == KEYWORDS else Index(leaves)
        rows, leaf, _ = _hits(batch, name, index)
        pairs = np.unique(leaf * batch.size + rows) // batch.size
        seen, counts = np.unique(pairs, return_counts=True)
        rates.update(
            (leaves[n], c / batch.size) for n, c in zip(seen.tolist(), counts.tolist(), strict=True)
        )
    return rates


def _hits(batch: Batch, name: str, index: Index | RawIndex) -> tuple[Ints, Ints, Ints]:
    """Pairs (row, leaf of the index) that may hold, and rows that may hide any leaf."""
    if isinstance(index, RawIndex):
        return index.hits(batch.originals)
    column = batch.column(name)
    if column is None:
        return NONE, NONE, NONE
    value, leaf = index.hits(column)
    return (*column.rows_of(value, leaf), NONE) if len(value) else (NONE, NONE, NONE)


def _pieces(table: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """The table in parts of bounded size, each with its first row's place."""
    start = 0
    while start < table.num_rows:
        part = table.slice(start, MAX_ROWS)
        while part.num_rows > 1 and part.nbytes > MAX_BYTES:
            part = part.slice(0, part.num_rows // 2)
        yield start, part
        start += part.num_rows
