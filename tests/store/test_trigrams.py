"""What a file's footer says of its words: never that a text is not there which is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.event_tables import NOW, event_commit
from support.query_oracle import holds

from pipeline.model import fold
from pipeline.model.errors import DamagedError
from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.store import trigrams
from pipeline.store.base import ALL_TIME
from pipeline.store.files import arrange
from pipeline.store.lake import passes as lake_pass
from pipeline.store.lake.store import Lake
from pipeline.store.query_tree import Words

ALL: dict[str, Any] = {"scope": Scope.everything(), "when": ALL_TIME}
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("abAB12 -.đĐàÀ\u0300ςΣ\u0130\u1112\u1161\u11ab가ﬁ²漢"),
    max_size=14,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=4), data=st.data())
def test_a_group_that_holds_the_words_is_never_left_out(
    texts: list[str], data: st.DataObject
) -> None:
    known = [token for text in texts for token in fold.tokens(text)] or ["a"]
    place = data.draw(st.integers(0, len(known) - 1))
    wanted = known[place : place + data.draw(st.integers(1, 2))]
    first, last = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))
    wanted[0] = wanted[0][first:] or wanted[0]
    wanted[-1] = wanted[-1][: len(wanted[-1]) - last] or wanted[-1]
    words = Words(tuple(wanted), data.draw(st.booleans()), data.draw(st.booleans()))
    bits = trigrams.bits_of(pa.array([*texts, None]))
    if any(holds(words, {"event.original": text}) for text in texts):
        assert trigrams.may_hold(bits, words)


@pytest.mark.parametrize("part", [3, 4, 7, 1 << 15])
def test_words_across_the_parts_of_a_long_text_are_seen(
    monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr(trigrams, "_PART", part)
    bits = trigrams.bits_of(
        pa.chunked_array([["user=Lan --- logged", None], [], ["ĐĂNG nhập", "ok"]], pa.string())
    )
    there = ["user", "lan", "lan logged", "user lan", "dang nhap", "ok"]
    assert [w for w in there if not trigrams.may_hold(bits, Words(tuple(w.split())))] == []
    away = ["use", "ser", "lana", "logged lan", "nhap dang", "okay"]
    assert [w for w in away if trigrams.may_hold(bits, Words(tuple(w.split())))] == []
    assert trigrams.may_hold(bits, Words(("ser",), open_start=True))
    assert trigrams.may_hold(bits, Words(("logg",), open_end=True))


def filled(tmp_path: Path, lines: list[str]) -> Lake:
    state = State.at(tmp_path / "state.sqlite")
    state.create_tables()
    lake = Lake(tmp_path / "lake", state)
    for number, line in enumerate(lines, 1):
        lake.append(event_commit([{"event.original": line}], number), now=NOW)
    lake.compact(NOW + timedelta(days=2))
    return lake


def test_a_merged_file_whose_words_are_others_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = filled(tmp_path, ["user=lan logged in", "Đăng nhập"])
    monkeypatch.setattr(lake_pass, "evaluate", lambda *_: pytest.fail("a group was read"))
    for query in ("nosuchword", '"logged lan"', "lann*", "user.name:x AND mimikatz", "aaa OR bbb"):
        assert lake.count(query, **ALL) == 0
    monkeypatch.undo()
    found = {
        q: lake.count(q, **ALL) for q in ("lan", "log*", "dang", "NOT mimikatz", "mimikatz OR in")
    }
    assert found == {"lan": 1, "log*": 1, "dang": 1, "NOT mimikatz": 2, "mimikatz OR in": 1}


def test_what_the_footer_says_does_not_go_on_into_another_file(tmp_path: Path) -> None:
    filled(tmp_path, ["one", "two"])
    (path,) = (p for p in (tmp_path / "lake").rglob("*.parquet") if _has_words(p))
    table = pq.ParquetFile(path).read_row_group(0)
    assert trigrams.KEY in table.schema.metadata
    assert arrange(table).schema.metadata is None


def _has_words(path: Path) -> bool:
    return trigrams.KEY in (pq.read_metadata(path).metadata or {})


def test_harmed_bits_are_damage_and_not_an_answer(tmp_path: Path) -> None:
    lake = filled(tmp_path, ["one", "two"])
    (path,) = (p for p in (tmp_path / "lake").rglob("*.parquet") if _has_words(p))
    packed = pq.read_metadata(path).metadata[trigrams.KEY]
    harmed = packed[:6] + bytes([packed[6] ^ 1]) + packed[7:]
    for bad in (harmed, b"\0", packed[:-3]):
        with pytest.raises((pa.ArrowException, OSError)):
            trigrams.unpack(bad)
    table = pq.read_table(path).replace_schema_metadata(None)
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({trigrams.KEY: harmed})
    with pytest.raises(DamagedError, match=path.name):
        lake.count("one", **ALL)
