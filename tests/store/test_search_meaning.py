"""What the lake finds is what the oracle finds, for any query over any events."""

from __future__ import annotations

import sys
import unicodedata
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.event_tables import NOW, event_commit
from support.query_examples import QUERIES, ROWS
from support.query_oracle import holds
from support.states import empty_state

from pipeline.model import fold
from pipeline.model.errors import QueryError
from pipeline.model.scope import Scope
from pipeline.store.base import ALL_TIME
from pipeline.store.lake.store import Lake
from pipeline.store.query import parse
from pipeline.store.query_tree import Words
from pipeline.store.words import holds as words_hold


def new_lake(folder: Path) -> Lake:
    state = empty_state(folder / "state.sqlite")
    return Lake(folder / "lake", state)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    batches=st.lists(st.lists(ROWS, min_size=1, max_size=6), min_size=1, max_size=2), query=QUERIES
)
@example(batches=[[{"event.original": "a"}]], query="(NOT no.such:a)")
def test_the_lake_finds_what_the_oracle_finds(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[dict[str, Any]]], query: str
) -> None:
    try:
        tree = parse(query)
    except QueryError:
        return
    lake = new_lake(tmp_path_factory.mktemp("lake"))
    expected, first = set(), 1
    for number, rows in enumerate(batches):
        commit = event_commit(rows, first, dataset=("test.log", "other.log")[number])
        lake.append(commit, now=NOW)
        for table in commit.tables.values():
            expected |= {row["event.id"].hex() for row in table.to_pylist() if holds(tree, row)}
        first += len(rows)
    page = lake.search(query, scope=Scope.everything(), when=ALL_TIME, limit=100)
    found = [document["event"]["id"] for document in page.documents]
    assert (set(found), len(found)) == (expected, len(expected))
    assert lake.count(query, scope=Scope.everything(), when=ALL_TIME) == len(expected)


ANY_TEXT = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from("aAbB đĐàÀ.-\u0300\u0345\u212aςΣ\u0130\u1112\u1161\u11ab가\u09c7\u09be\u1b05\u1b35ﬁ²"),
    max_size=12,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=4), data=st.data())
def test_words_over_a_column_are_words_over_folded_tokens(
    texts: list[str], data: st.DataObject
) -> None:
    known = [token for text in texts for token in fold.tokens(text)] or ["a"]
    start, stop = data.draw(st.booleans()), data.draw(st.booleans())
    wanted = data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=2))
    words = Words(tuple(wanted), open_start=start, open_end=stop)
    got = words_hold(pa.array([*texts, None]), words).tolist()
    assert got == [*(holds(words, {"event.original": text}) for text in texts), False]


def test_no_common_character_needs_its_neighbours_to_be_folded() -> None:
    from pipeline.store import words

    table = words._table()
    common = pc.match_substring_regex(
        pa.array([chr(p) for p in range(0xD800)]), f"^[{words.COMMON}]$"
    )
    awkward = pc.match_substring_regex(pa.array([chr(p) for p in range(0xD800)]), table.awkward)
    assert [hex(p) for p in range(0xD800) if common[p].as_py() and awkward[p].as_py()] == []
    assert pc.sum(common).as_py() > 30_000


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=4), open_end=st.booleans())
def test_many_accented_texts_are_decided_as_few_are(texts: list[str], open_end: bool) -> None:
    for token in {token for text in texts for token in fold.tokens(text)}:
        words = Words((token,), open_end=open_end)
        few = words_hold(pa.array(texts), words).tolist()
        assert words_hold(pa.array(texts * 50), words).tolist() == few * 50


def test_arrow_lowers_each_character_as_the_model_does() -> None:
    every = [chr(p) for p in range(sys.maxunicode + 1) if not 0xD800 <= p <= 0xDFFF]
    known = [char for char in every if unicodedata.category(char) != "Cn"]
    lowered = pc.utf8_lower(pa.array(known)).to_pylist()
    different = [(c, a) for c, a in zip(known, lowered, strict=True) if fold.lower(c) != a]
    assert different == []


def test_long_columns_are_decided_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.store.lake import files as lake_files

    monkeypatch.setattr(lake_files, "PIECE_BYTES", 50)
    lake = new_lake(tmp_path)
    rows = [
        {"event.original": f"line {n} {'x' * 20}", "user.name": f"u{n % 3}", "thapcanh.extra": [("x.left", str(n))]}
        for n in range(100)
    ]  # fmt: skip
    lake.append(event_commit(rows, 1), now=NOW)
    everything: dict[str, Any] = {"scope": Scope.everything(), "when": ALL_TIME}
    assert lake.count("line AND user.name:U1", **everything) == 33
    assert lake.count("x.left:[10 TO 1z] OR 77", **everything) == 11
    bars = lake.histogram("user.name:u0", step=timedelta(seconds=30), **everything)
    assert [count for _, count in bars] == [10, 10, 10, 4]
    assert lake.top("", "user.name", **everything) == [("u0", 34), ("u1", 33), ("u2", 33)]
    assert (
        np.array([int(v) for v, _ in lake.top("", "x.left", limit=100, **everything)]).sum() == 4950
    )
