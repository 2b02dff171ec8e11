"""What a value is, as text, to a rule: its form, its case folded, its Unicode normalised.

A rule sees every value as text: a number as its digits (`443`, never `443.0`), a truth as `true` or
`false`, a time as ISO 8601 in UTC. Case is folded code point by code point (Unicode's simple case
folding, so that `İ`, the final sigma and `АДМИНИСТРАТОР` compare, and `?` still counts one code
point). Patterns are in NFC; a value that is not in NFC counts as two values, as written and in NFC,
so that neither a decomposed `é` nor a combining mark put behind a word hides it.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, date, datetime
from functools import cache
from typing import Any


@cache
def folding_table() -> dict[int, int]:
    """Unicode's simple case folding as differences: 1,400 code points, the same on every machine's Python."""
    table: dict[int, int] = {}
    for point in range(0x41, 0x1E944):
        if 0xD800 <= point <= 0xDFFF:
            continue
        character = chr(point)
        folded = character.casefold()
        if len(folded) != 1:  # ß, ŉ, İ: the full folding grows; the simple one is the lower case
            folded = character.lower()[0]
        if folded != character:
            table[point] = ord(folded)
    return table


def fold(text: str) -> str:
    """Case folded, one code point to one."""
    return text.lower() if text.isascii() else text.translate(folding_table())


def nfc(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def as_text(value: Any) -> str | None:
    """The text form of one value that is not a list; None for a missing one."""
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, date) else str(value)


def texts(value: Any) -> tuple[str, ...]:
    """All texts that a value counts as: each item of a list, and the NFC form where it differs."""
    found: list[str] = []
    for item in value if isinstance(value, list | tuple) else (value,):
        text = as_text(item)
        if text is None:
            continue
        found.append(text)
        if not text.isascii() and not unicodedata.is_normalized("NFC", text):
            found.append(unicodedata.normalize("NFC", text))
    return tuple(found)
