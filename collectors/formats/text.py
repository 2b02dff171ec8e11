"""Bytes to text and back, so that nothing is lost: the text for fields, the bytes where it matters.

A text that cannot be turned back into the same bytes is flagged, so that the bytes are kept beside
it. Lone surrogates (JSON escapes such as ``\\ud800``) become U+FFFD: no store takes them.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
MAX_NOTED: Final = 120


def decode(body: bytes, encoding: str) -> tuple[str, bool]:
    """The text, and whether the bytes can be made from it again."""
    try:
        text = body.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return body.decode("utf-8" if not known(encoding) else encoding, "replace"), False
    try:
        return text, text.encode(encoding) == body
    except UnicodeEncodeError:
        return clean(text), False


def known(encoding: str) -> bool:
    try:
        codecs.lookup(encoding)
    except LookupError:
        return False
    return True


def clean(text: str) -> str:
    """Without lone surrogates."""
    return _SURROGATE.sub("\ufffd", text)


def shown(value: object) -> str:
    """A value as a remark quotes it: one line, bounded, nothing that moves a terminal's cursor."""
    text = value if isinstance(value, str) else repr(value)
    cut = text[:MAX_NOTED]
    return ascii(cut)[1:-1] if not cut.isprintable() else cut
