"""Hostile text, shown: what an attacker wrote into a log is displayed, never obeyed.

In: any text of an event. Out: markup in which every character that a reader could not see, or that
would reorder what they see, stands as a marked picture of itself::

    "evil\\u202egpj.exe\\x1b[31m"  →  evil<b class="odd" title="U+202E RIGHT-TO-LEFT OVERRIDE">⟦202E⟧</b>gpj…

C0 controls stand under their names (ESC, BEL), everything else under its code point. HTML is escaped by
the same pass. Evidence itself is not changed: only its display is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Final

from markupsafe import Markup, escape

from pipeline.model.odd_text import MARKS, ODD, name_of, pictured

__all__ = ["is_odd", "marked_text", "pictured", "safe_text"]

LONGEST: Final = 20_000  # characters of one value on a page; the rest is said to be cut


def _picture(char: str) -> Markup:
    code, shown = ord(char), name_of(char)
    title = f"U+{code:04X} {unicodedata.name(char, '')}".strip()
    return Markup('<b class="odd" title="{}">{}</b>').format(title, shown)


def safe_text(value: object, *, lines: bool = False, longest: int = LONGEST) -> Markup:
    """The value as markup. `lines` lets line breaks and tabs stand (for ``<pre>``)."""
    text = str(value)
    cut = len(text) - longest
    text = text[:longest]
    parts: list[Markup] = []
    at = 0
    for found in ODD.finditer(text):
        char = found[0]
        if lines and char in "\n\t":
            continue
        if lines and char == "\r" and text[found.end() : found.end() + 1] == "\n":
            parts += [_plain(text[at : found.start()])]  # Windows' line ends are no attack
            at = found.end()
            continue
        parts += [_plain(text[at : found.start()]), _picture(char)]
        at = found.end()
    parts.append(_plain(text[at:]))
    if cut > 0:
        parts.append(Markup('<b class="odd">… +{}</b>').format(cut))
    return Markup("").join(parts)


def marked_text(value: str, words: Collection[str], *, longest: int = LONGEST) -> Markup:
    """A raw line with every occurrence of the words (what matched) marked; lines stand as in ``<pre>``."""
    text = value[:longest]
    wanted = sorted({word for word in words if len(word) >= 3}, key=len, reverse=True)[:40]
    if not wanted:
        return safe_text(value, lines=True, longest=longest)
    split = re.split("(" + "|".join(map(re.escape, wanted)) + ")", text, flags=re.IGNORECASE)
    parts = [
        Markup("<mark>{}</mark>").format(safe_text(part, lines=True))
        if place % 2
        else safe_text(part, lines=True)
        for place, part in enumerate(split)
        if part
    ]
    if len(value) > longest:
        parts.append(Markup('<b class="odd">… +{}</b>').format(len(value) - longest))
    return Markup("").join(parts)


def _plain(text: str) -> Markup:
    # A pile of combining marks paints over its neighbours: three are kept, more are counted.
    tamed = MARKS.sub(lambda pile: f"{pile[0][:3]}⟦+{len(pile[0]) - 3}⟧", text)
    return escape(tamed)


def is_odd(value: object) -> bool:
    """Whether the text holds anything that is shown as a picture."""
    return bool(ODD.search(str(value)))
