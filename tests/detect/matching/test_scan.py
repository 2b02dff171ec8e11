"""Both engines give every place of every literal within one text, and none that reaches over a border."""

from __future__ import annotations

from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from pipeline.detect.matching import scan
from pipeline.detect.matching.columnar import Column, bounds_of
from pipeline.detect.matching.index import Index
from pipeline.detect.matching.scan import Automaton, RawScanner, chunks
from pipeline.detect.matching.tree import Leaf

TEXTS = ["abab", "", "ab", "b", "aBé", "é", "a\0b"]
LITERALS = [b"ab", b"b", b"abab", "é".encode(), b"a\0b"]


@pytest.mark.parametrize("caseless", [False, True])
def test_every_place_is_found(caseless: bool) -> None:
    literals = LITERALS[:4] if caseless else LITERALS  # keywords hold no NUL
    engine = RawScanner(literals) if caseless else Automaton(literals)
    found = engine.find(*bounds_of(pa.array(TEXTS, pa.large_string())))
    raw = [text.encode().lower() if caseless else text.encode() for text in TEXTS]
    starts = np.cumsum([0, *map(len, raw)]).tolist()
    expected = {
        (n, which, starts[n] + at, starts[n] + at + len(literal))
        for n, text in enumerate(raw)
        for which, literal in enumerate(literals)
        for at in range(len(text))
        if text.startswith(literal, at)
    }
    places = (found.text, found.literal, found.begins, found.ends)
    assert set(zip(*(each.tolist() for each in places), strict=True)) == expected


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_chunks_hold_every_text_once(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "CHUNK", size)
    bounds = np.cumsum([0, 5, 0, 0, 2, 1, 9, 0])
    ranges = list(chunks(bounds))
    assert [n for first, last in ranges for n in range(first, last)] == list(range(7))
    assert all(bounds[last] - bounds[first] <= size or last == first + 1 for first, last in ranges)


@pytest.mark.parametrize("size", [2, 1 << 20])
def test_the_index_of_a_column_says_exactly_which_leaves_hold(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "CHUNK", size)
    values = ["".join(letters) for length in range(5) for letters in product("ab", repeat=length)]
    tests = {
        "eq": str.__eq__,
        "contains": str.__contains__,
        "startswith": str.startswith,
        "endswith": str.endswith,
    }
    every = [Leaf("f", op, arg) for op in tests for arg in values if arg or op == "eq"]
    value, leaf = Index(every).hits(Column("f", pa.array(values)))
    assert set(zip(value.tolist(), leaf.tolist(), strict=True)) == {
        (n, place)
        for n, text in enumerate(values)
        for place, each in enumerate(every)
        if tests[each.op](text, each.arg)
    }
