"""Tables fit the terminal, whole words and whole letters; times are read as people write them."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.cli.moments import moment
from pipeline.cli.output import safe
from pipeline.cli.tables import lay_out, width_of, wrap
from pipeline.model.errors import UsageError

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


def test_a_table_that_fits_is_aligned_by_what_the_terminal_shows() -> None:
    plain, marks = "Phường Sài Gòn", unicodedata.normalize("NFD", "Phường Sài Gòn")
    assert list(lay_out(("a", "b"), [(plain, "1"), (marks, "2"), ("", "")], 40)) == [
        "a               b",
        f"{plain}  1",
        f"{marks}  2",
        "",
    ]


def test_the_last_column_goes_below_where_it_has_no_room() -> None:
    rows = [("1", "x" * 19, "y" * 19, "Tấn công dò mật khẩu vào cổng VPN")]
    assert list(lay_out(("id", "first", "second", "title"), rows, 50)) == [
        "id  first                second",
        "    title",
        "1   xxxxxxxxxxxxxxxxxxx  yyyyyyyyyyyyyyyyyyy",
        "    Tấn công dò mật khẩu vào cổng VPN",
    ]


def test_long_text_is_wrapped_at_words_and_an_id_is_never_broken() -> None:
    rows = [
        ("0123456789abcdef0123456789abcdef", "một hai ba bốn năm sáu bảy tám chín mười mười một")
    ]
    assert list(lay_out(("id", "text"), rows, 74)) == [
        "id                                text",
        "0123456789abcdef0123456789abcdef  một hai ba bốn năm sáu bảy tám chín mười",
        "                                  mười một",
    ]


def test_what_takes_more_than_eight_lines_ends_visibly() -> None:
    assert wrap("x" * 100, 10) == ["x" * 10] * 7 + ["x" * 9 + "…"]


@example("0000000\u0e5c\u0e5c0\u0e5c0", 2)
@given(st.text(max_size=200), st.integers(2, 40))
def test_no_line_is_wider_than_its_room_and_nothing_is_lost(text: str, room: int) -> None:
    lines = wrap(text, room)
    assert all(width_of(line) <= room for line in lines)
    if len(lines) < 8:
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_a_log_line_cannot_command_the_terminal() -> None:
    assert safe("a\x1b[2Jb\x9b31mc\u202egpj.exe\x07\r\n") == "a␛[2Jb�31mc�gpj.exe␇␍\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("24h", NOW - timedelta(days=1)),
        ("2w", NOW - timedelta(days=14)),
        ("2026-11-24", datetime(2026, 11, 23, 17, tzinfo=UTC)),
        ("2026-11-24T09:00", NOW),
        ("2026-11-24T02:00:00Z", NOW),
        ("24/11/2026 09:00:00", NOW),
        ("4/1/2026", datetime(2026, 1, 3, 17, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_people_write_them(text: str, expected: datetime | None) -> None:
    assert moment(text, "--since", now=NOW) == expected


@pytest.mark.parametrize("text", ["yesterday", "24", "31/02/2026", "2026-13-01", "999999w"])
def test_what_is_no_time_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(UsageError) as told:
        moment(text, "--since", now=NOW)
    assert (told.value.where, "24/11/2026 09:00" in told.value.expected) == ("--since", True)
