"""Many literals looked for at once in one buffer of bytes.

In: distinct literals, then texts as Arrow keeps them: all bytes one after the other, and the bounds of
each text. Out: every place where a literal stands within one text. Two engines, for two kinds of text:

* `Automaton` (Aho-Corasick) for the folded distinct values of a column: thousands of literals, built in
  milliseconds, over little text;
* `RawScanner` (Hyperscan) for whole raw records: a few dozen literals over kilobytes an event, caseless.

    Automaton([b"mimikatz", b".exe"]).find(b"a.exemimi" + b"katz", [0, 9, 13])
    → text [0], literal [1], begins [1], ends [5]        # `mimikatz` reaches over a border: no find
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import ahocorasick_rs
import hyperscan
import numpy as np

from pipeline.detect.matching.columnar import NONE, Bytes, Ints

CHUNK: Final = 4 << 20
"""Bytes: what one scan finds in so many fits into memory, be it the same word a million times."""


def chunks(bounds: Ints) -> Iterator[tuple[int, int]]:
    """Ranges of whole texts, each of at most `CHUNK` bytes or of one text."""
    first, count = 0, len(bounds) - 1
    while first < count:
        last = int(np.searchsorted(bounds, bounds[first] + CHUNK, side="right")) - 1
        last = min(max(last, first + 1), count)
        yield first, last
        first = last


class Places(NamedTuple):
    """Arrays of one length: which text, which literal, where it begins and ends in the buffer."""

    text: Ints
    literal: Ints
    begins: Ints
    ends: Ints


_NOWHERE = Places(NONE, NONE, NONE, NONE)


class Automaton:
    """Literals as they are, overlapping ones too."""

    def __init__(self, literals: Sequence[bytes]) -> None:
        self._automaton: Any = None
        if literals:  # the faster table takes about 400 bytes for each byte of the literals
            small = sum(map(len, literals)) < 30_000
            way = ahocorasick_rs.Implementation.DFA if small else None
            self._automaton = ahocorasick_rs.BytesAhoCorasick(literals, implementation=way)

    def find(self, data: Bytes, bounds: Ints) -> Places:
        """Every literal in every text; `bounds` has one number more than there are texts."""
        if self._automaton is None or not len(data):
            return _NOWHERE
        found = self._automaton.find_matches_as_indexes(data, overlapping=True)
        if not found:
            return _NOWHERE
        literal, begins, ends = np.array(found, dtype=np.int64).T
        return _within(literal, begins, ends, bounds)


class RawScanner:
    """Literals whatever the case of their ASCII letters. None may hold a NUL: Hyperscan would end there."""

    def __init__(self, literals: Sequence[bytes]) -> None:
        if any(b"\0" in each for each in literals):
            raise ValueError("a literal with a NUL")
        self._lengths = np.array([len(each) for each in literals], dtype=np.int64)
        self._database: Any = hyperscan.Database()
        self._database.compile(
            expressions=list(literals),
            ids=list(range(len(literals))),
            elements=len(literals),
            flags=[hyperscan.HS_FLAG_CASELESS] * len(literals),
            literal=True,
        )

    def find(self, data: Bytes, bounds: Ints) -> Places:
        """As `Automaton.find`; the data is less than 4 GB."""
        if not len(data):
            return _NOWHERE
        literals, places = array("q"), array("q")
        add, place = literals.append, places.append

        def seen(literal: int, _begin: int, end: int, _flags: int, _context: object) -> None:
            add(literal)
            place(end)

        self._database.scan(data, match_event_handler=seen)
        if not literals:
            return _NOWHERE
        literal, ends = (np.frombuffer(each, dtype=np.int64) for each in (literals, places))
        return _within(literal, ends - self._lengths[literal], ends, bounds)


def _within(literal: Ints, begins: Ints, ends: Ints, bounds: Ints) -> Places:
    """Those that reach over no border."""
    text = np.searchsorted(bounds, begins, side="right") - 1
    inside = ends <= bounds[text + 1]
    return Places(text[inside], literal[inside], begins[inside], ends[inside])
