"""What people write, as markup: Markdown for layout, and nothing that acts.

In: a comment or note as it was typed. Out: markup of a short list of elements. Every character that a reader
could not see stands as a picture of itself, before Markdown sees it; HTML is text; pictures are text; a link
goes to http or https only and shows its host behind it, so that ``[bank](https://evil.example)`` reads
*bank (evil.example)*.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from pipeline.console.safe_text import pictured

LONGEST: Final = 20_000
_TEXT: Final = ("p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "a")
_PARTS: Final = ("ul", "ol", "li", "h3", "h4", "h5", "h6")
_TABLE: Final = ("table", "thead", "tbody", "tr", "th", "td")
TAGS: Final = frozenset((*_TEXT, *_PARTS, *_TABLE))


def markdown(text: str) -> Markup:
    """Safe markup of a text. What is cut off at the end is said to be cut."""
    shown = _parser().render(pictured(text[:LONGEST]))
    clean = nh3.clean(
        shown,
        tags=set(TAGS),
        attributes={"a": {"href"}},
        url_schemes={"http", "https"},
        link_rel="noopener noreferrer nofollow",
    )
    cut = len(text) - LONGEST
    more = Markup('<b class="odd">… +{}</b>').format(cut) if cut > 0 else Markup()
    return Markup(clean) + more  # noqa: S704 - nh3 has cleaned it


@cache
def _parser() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(
        ["table", "strikethrough"]
    )
    made.disable(["image", "html_block", "html_inline"])
    made.add_render_rule("link_close", _link_close)
    made.add_render_rule("heading_open", _heading)
    made.add_render_rule("heading_close", _heading)
    return made


def _link_close(_: Any, tokens: Sequence[Any], place: int, *__: Any) -> str:
    opened = next(token for token in reversed(tokens[:place]) if token.type == "link_open")
    host = urlsplit(str(opened.attrs.get("href", ""))).netloc
    return f"</a> ({escape(host)})" if host else "</a>"


def _heading(_: Any, tokens: Sequence[Any], place: int, *__: Any) -> str:
    """A page has its own h1 and h2: what people write begins below them."""
    level = min(6, int(tokens[place].tag[1]) + 2)
    return f"<{'/' if tokens[place].nesting < 0 else ''}h{level}>"
