"""Templates and columns of key=value lines say what the slow reading says, of every line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.formats import key_value as module
from collectors.formats.key_value import key_value, pairs
from collectors.formats.key_value_columns import match
from collectors.formats.parsed import Parsed, values_of
from collectors.formats.syslog import Header, split

VALUES = st.text(alphabet='ab1 ="\\\t\n\u00a0ĐắệX.:/-[]', max_size=8) | st.sampled_from(
    ["", "10.0.0.1", 'a "b" c']
)
PAIR = st.tuples(st.sampled_from(["a", "bb", "ccc", "đ", "x_1"]), VALUES, st.booleans())
LINES = st.lists(PAIR, min_size=1, max_size=6).map(
    lambda some: " ".join(f'{key}="{value}"' if quoted else f"{key}={value}" for key, value, quoted in some)
)  # fmt: skip


def fields(parsed: Parsed) -> dict[int, dict[str, Any]]:
    return {
        row: dict(zip(group.names, values, strict=True))
        for group in parsed.groups
        for row, values in zip(group.rows, zip(*map(values_of, group.columns), strict=True), strict=True)
    }  # fmt: skip


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns from the second line on, as otherwise from the 256th."""
    monkeypatch.setattr(module, "LEAST", 2)


@given(line=LINES, others=st.lists(LINES | st.just(""), max_size=4), spaces=st.integers(0, 2))
def test_many_lines_at_once_say_what_each_says_alone(
    line: str, others: list[str], spaces: int
) -> None:
    lines = [line, *others, line + " " * spaces, line[:-1], line]
    read = fields(key_value()(lines))
    for row, one in enumerate(lines):
        names, values = pairs(one)
        expected = dict(zip(names, values, strict=True))
        assert read.get(row, {}) == ({} if names in ((), ("#rest",)) else expected), one


@given(before=st.lists(LINES, min_size=1, max_size=4), lines=st.lists(LINES, min_size=2))
def test_what_was_read_before_does_not_change_how_lines_are_read(
    before: list[str], lines: list[str]
) -> None:
    used = key_value()
    for line in before:
        used([line])
    assert fields(used(lines)) == fields(key_value()(lines))


def test_a_last_line_that_ends_before_a_known_template_does_is_read_alone() -> None:
    read = key_value()
    read(['user="a b" id=1 address=10.0.0.1'])
    assert fields(read(['user="c d"', 'user="e f"'])) == {0: {"user": "c d"}, 1: {"user": "e f"}}


def test_lines_of_a_kind_are_read_as_columns_and_the_odd_ones_one_by_one() -> None:
    usual = [
        f'date=2026-11-{n:02} devname="FG {n}" logid="1" user="Trần {n}" n={n}'
        for n in range(1, 30)
    ]
    odd = [
        'date=x devname="a" logid="1" user="q\\"q" n=1',
        'logid="1" n=2',
        'date=x devname="a" logid="1" user="b"',
        "text",
    ]
    lines = [*usual[:20], *odd, *usual[20:]]
    parsed = key_value(mark=r'logid="(\d+)"')(lines)
    assert [len(group.rows) for group in parsed.groups] == [29, 1, 1, 1]
    assert not isinstance(parsed.groups[0].columns[0], tuple)
    assert fields(parsed) == {
        row: dict(zip(*pairs(line), strict=True))
        for row, line in enumerate(lines)
        if line != "text"
    }
    assert parsed.failures == {23: "no key=value pair in the line"}


def test_nothing_of_the_next_line_is_read_into_one_that_ends_early() -> None:
    made = module._template('a=1 b="2"')
    assert made is not None
    places, columns = match(["a=1", ' b="2"', 'a=1 b="2"', 'a= b=""', 'a=1 b="2'], made.parts)
    assert places.tolist() == [2, 3]
    assert [column.to_pylist() for column in columns] == [["1", ""], ["2", ""]]


@pytest.mark.parametrize(
    "line",
    ["<189>date=2026 x", "<189>date: x", "<189>da te=1", "<189>=1", "<5>a[1]: b=c", "<189>x"],
)
def test_a_line_of_pairs_has_the_header_that_any_line_has(line: str) -> None:
    priority = line[1 : line.index(">")]
    header, message = split(line)
    assert header.priority == priority
    if header == Header(priority):
        assert message == line.partition(">")[2]
