"""Events as documents of Elasticsearch and back, and their folded text: no node is needed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.event_tables import event_table
from support.query_examples import ROWS

from pipeline.model.fold import tokens
from pipeline.normalise.document import events_as_documents
from pipeline.store.elasticsearch.columns import FIND, LONG_TOKENS, TEXT, TOKEN, WHOLE, mapped
from pipeline.store.elasticsearch.documents import prepare
from pipeline.store.elasticsearch.folding import MARK, folded
from pipeline.store.elasticsearch.indices import family_of, index_of, month_of
from pipeline.store.elasticsearch.rows import document_of, table_of
from pipeline.store.fields import CUT

ANY = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from(
        "aAbB đĐàÀ.-\u0300\u0323\u0345\u212aςΣ\u0130\u1112\u1161\u11ab가\u09c7\u09beﬁ²"
    ),
    max_size=40,
)


def sources(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pieces = prepare(event_table(rows, 1), "test.log", frozenset())
    return [orjson.loads(one.line.split(b"\n")[1]) for piece in pieces for one in piece]


@settings(max_examples=500, deadline=None)
@given(text=ANY)
@example(text="Trần ĐỨC-Hoà")
@example(text="Tra\u0302\u0300n")
def test_folded_text_has_the_tokens_of_the_model(text: str) -> None:
    ((spaced, long),) = folded([text])
    assert (spaced.split(), long) == (tokens(text), [])


def test_a_long_token_is_shortened_for_phrases_and_kept_beside_it() -> None:
    word = "q" * (TOKEN + 1)
    assert list(folded([f"a {word}-b", "c" * TOKEN, None])) == [
        (f"a {word[:TOKEN]}{MARK} b", [word]),
        ("c" * TOKEN, []),
        ("", []),
    ]


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=4))
@example(rows=[{"thapcanh.extra": [("a=b\\c", "d=e"), ("user.name", "x")], "user.name": "y"}])
@example(rows=[{"user": "a column of a name that is an object", "user.name": "x"}])
def test_what_is_read_back_is_what_was_stored(rows: list[dict[str, Any]]) -> None:
    table = event_table(rows, 1)
    made = sources(rows)
    wanted = events_as_documents(table)
    assert [document_of(one) for one in made] == wanted
    assert events_as_documents(table_of(made, None)) == wanted


def test_a_value_of_more_than_8_kb_is_cut_for_searching_and_whole_for_reading() -> None:
    value = "đ" * CUT
    (made,) = sources([{"process.command_line": value, "related.user": ["a", value]}])
    assert made["process.command_line"] == "đ" * (CUT // 2)
    assert made[WHOLE] == {"process.command_line": value, "related.user": ["a", value]}
    assert document_of(made)["process"] == {"command_line": value}
    assert table_of([made], frozenset({"related.user"})).column("related.user").to_pylist() == [
        ["a", value]
    ]


def test_what_has_no_field_of_its_own_is_found_by_name_and_value_in_lower_case() -> None:
    (made,) = sources([{"thapcanh.extra": [("X.Left", "Seven"), ("a=b", "C")], "user.Name": "An"}])
    assert made[FIND] == [
        "event.original=", "user.Name=an", "thapcanh.extra=", "X.Left=seven", "a\\=b=c",
    ]  # fmt: skip
    assert (made[TEXT], LONG_TOKENS in made) == ("nothing", False)


def test_no_field_of_the_index_holds_another() -> None:
    names = set(mapped())
    assert [name for name in names if any(name.startswith(f"{other}.") for other in names)] == []
    assert {"process.command_line", "winlog.event_data.CommandLine", "event.id"} <= names


def test_an_index_is_named_by_what_never_changes() -> None:
    moment = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
    name = index_of("Windows.sysmon", "kept", moment)
    assert (name, month_of(name)) == ("logs-thapcanh.windows-kept-2026.11", (2026, 11))
    assert [family_of(one) for one in ("../etc", "", "a b-c.d", "…")] == [
        "other",
        "other",
        "a_b_c",
        "other",
    ]
