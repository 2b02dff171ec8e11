"""Hostile text is shown, marked, and never becomes anything but text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.console.safe_text import is_odd, marked_text, safe_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ('"><img src=x onerror=y>', "&#34;&gt;&lt;img src=x onerror=y&gt;"),
        ("a\x1b[31mb", 'a<b class="odd" title="U+001B">⟦ESC⟧</b>[31mb'),
        ("a\x00b", 'a<b class="odd" title="U+0000">⟦NUL⟧</b>b'),
        (
            "x\u202egpj.exe",
            'x<b class="odd" title="U+202E RIGHT-TO-LEFT OVERRIDE">⟦202E⟧</b>gpj.exe',
        ),
        ("a\u200bb", 'a<b class="odd" title="U+200B ZERO WIDTH SPACE">⟦200B⟧</b>b'),
        ("\ud800", '<b class="odd" title="U+D800">⟦D800⟧</b>'),
        ("đường Trần Hưng Đạo", "đường Trần Hưng Đạo"),
        ("e" + "\u0301" * 9, "e\u0301\u0301\u0301⟦+6⟧"),
        ("a\nb", 'a<b class="odd" title="U+000A">⟦LF⟧</b>b'),
    ],
)
def test_what_an_attacker_writes_is_displayed_not_obeyed(text: str, shown: str) -> None:
    assert safe_text(text) == shown


def test_lines_stand_in_raw_text_but_a_lone_return_is_marked() -> None:
    assert safe_text("a\r\nb\tc\nd", lines=True) == "a\nb\tc\nd"
    assert "⟦CR⟧" in safe_text("Accepted\rFailed", lines=True)


def test_a_long_value_is_cut_and_says_so() -> None:
    assert safe_text("x" * 12, longest=10) == "xxxxxxxxxx" + '<b class="odd">… +2</b>'


def test_what_matched_is_marked_whatever_its_case_and_stays_escaped() -> None:
    shown = marked_text("GET /<x> CMD=Whoami", ["whoami", "/<x>"])
    assert shown == "GET <mark>/&lt;x&gt;</mark> CMD=<mark>Whoami</mark>"


@given(st.text(st.characters(), max_size=200), st.booleans())
def test_no_text_makes_markup_or_hides(text: str, lines: bool) -> None:
    shown = str(safe_text(text, lines=lines))
    bare = re.sub(r'<b class="odd" title="[^"<>]*">⟦[^<>⟧]*⟧</b>', "", shown)
    assert "<" not in bare
    assert ">" not in bare
    bare.encode("utf-8")
    assert not is_odd(bare.replace("\n", "").replace("\t", ""))
