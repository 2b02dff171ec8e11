"""What people write is laid out by Markdown and does nothing else."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.console.markdown import TAGS, markdown
from pipeline.console.safe_text import is_odd

LINK = (
    '<p><a href="https://evil.example/x" rel="noopener noreferrer nofollow">ngân hàng</a>'
    " (evil.example)</p>"
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("một **hai**\nba", "<p>một <strong>hai</strong><br>\nba</p>"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("# to", "<h3>to</h3>"),
        ("`a<b`", "<p><code>a&lt;b</code></p>"),
        ("<script>x</script>", "<p>&lt;script&gt;x&lt;/script&gt;</p>"),
        ("![x](https://evil.example/p.png)", None),
        ("[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</p>"),
        ("[a](data:text/html,x)", "<p>[a](data:text/html,x)</p>"),
        ("[ngân hàng](https://evil.example/x)", LINK),
        ("x\u202egpj\x1b[31m", "<p>x⟦202E⟧gpj⟦ESC⟧[31m</p>"),
        ("[a](/tickets/1/close)", '<p><a href="/tickets/1/close"'),
    ],
)
def test_layout_stands_and_what_acts_is_text(text: str, shown: str | None) -> None:
    made = str(markdown(text)).strip()
    assert "<img" not in made
    if shown is not None:
        assert made == shown or (shown.startswith('<p><a href="/') and made.startswith(shown))


@given(st.text(st.characters(), max_size=300))
def test_no_text_makes_an_element_that_acts(text: str) -> None:
    made = str(markdown(text))
    assert set(re.findall(r"<(\w+)", made)) <= TAGS
    assert not re.search(r"<[^>]*\s(?:on\w+|style|src)=", made)
    assert all(
        re.match(r"https?:|/|[^:]*$", unescape(href))
        for href in re.findall(r'href="([^"]*)"', made)
    )
    assert not is_odd(unescape(made).replace("\n", "").replace("\t", ""))


def test_a_long_text_is_cut_and_says_so() -> None:
    assert str(markdown("x" * 20_003)).endswith("… +3</b>")
