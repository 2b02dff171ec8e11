"""Delimited lines: which columns a line has, and what an empty field is."""

from __future__ import annotations

from collectors.formats.csv_fields import csv_fields

BY_KIND = {"A": ["time", "kind", "user"], "*": ["time", "kind"]}


def test_a_field_chooses_the_columns_and_further_ones_are_numbered() -> None:
    parsed = csv_fields(BY_KIND, columns_by=2)(["1,A,an,x", "2,B,3", None])
    assert [(g.names, g.rows, list(g.columns)) for g in parsed.groups] == [
        (("time", "kind", "user", "column.4"), [0], [("1",), ("A",), ("an",), ("x",)]),
        (("time", "kind", "column.3"), [1], [("2",), ("B",), ("3",)]),
    ]


def test_an_empty_field_has_no_value_and_quotes_hold_commas() -> None:
    (group,) = csv_fields(["a", "b", "c"])(['1,,"x, y"']).groups
    assert list(group.columns) == [("1",), (None,), ("x, y",)]


def test_headers_are_dropped_and_a_line_of_too_few_fields_fails() -> None:
    parsed = csv_fields(["a", "b"])(["#Fields: a b", "a,b", "alone", '"odd,quote'])
    assert parsed.dropped == {0, 1}
    assert parsed.failures == {
        2: "1 fields, expected at least 2",
        3: "1 fields, expected at least 2",
    }
