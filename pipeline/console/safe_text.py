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

LONGEST: Final = 20_000  # characters of one value on a page; the rest is said to be cut

# Controls, format characters (bidi, zero width, tags), lone surrogates, separators of line and
# paragraph, odd blanks, and what takes up room without showing anything.
_ODD = re.compile(
    "[\x00-\x1f\x7f-\x9f\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
_NAMES: Final = (
    "NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI "
    "DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US"
)
_CONTROLS: Final = tuple(_NAMES.split())
_MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{4,}"
)


def _name(char: str) -> str:
    code = ord(char)
    return f"⟦{_CONTROLS[code]}⟧" if code < 0x20 else f"⟦{code:04X}⟧"


def pictured(text: str) -> str:
    """The text with its odd characters as pictures, still text; line breaks and tabs stand."""
    text = text.replace("\r\n", "\n")
    return _ODD.sub(lambda found: found[0] if found[0] in "\n\t" else _name(found[0]), text)


def _picture(char: str) -> Markup:
    code, shown = ord(char), _name(char)
    title = f"U+{code:04X} {unicodedata.name(char, '')}".strip()
    return Markup('<b class="odd" title="{}">{}</b>').format(title, shown)


def safe_text(value: object, *, lines: bool = False, longest: int = LONGEST) -> Markup:
    """The value as markup. `lines` lets line breaks and tabs stand (for ``<pre>``)."""
    text = str(value)
    cut = len(text) - longest
    text = text[:longest]
    parts: list[Markup] = []
    at = 0
    for found in _ODD.finditer(text):
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
    tamed = _MARKS.sub(lambda pile: f"{pile[0][:3]}⟦+{len(pile[0]) - 3}⟧", text)
    return escape(tamed)


def is_odd(value: object) -> bool:
    """Whether the text holds anything that is shown as a picture."""
    return bool(_ODD.search(str(value)))
