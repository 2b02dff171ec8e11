"""Bytes to text and back, so that nothing is lost: the text for fields, the bytes where it matters.

A text that cannot be turned back into the same bytes is flagged, so that the bytes are kept beside
it. Lone surrogates (JSON escapes such as ``\\ud800``) become U+FFFD: no store takes them.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import Final

from collectors.formats.vietnamese import register

register()

_NO_TEXT: Final = frozenset(("idna", "punycode", "unicode-escape", "raw-unicode-escape", "utf-7"))
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
    """Whether a source's text may be declared so."""
    try:
        text = "a\n".encode(encoding).decode(
            encoding
        )  # `zlib`, `rot13` and the like are no encodings of text
        return text == "a\n" and codecs.lookup(encoding).name.replace("_", "-") not in _NO_TEXT
    except (LookupError, UnicodeError, TypeError, ValueError):
        return False


def newline_of(encoding: str) -> bytes:
    """The line end in an encoding: two or four bytes in UTF-16 and UTF-32, one in all others."""
    try:
        name = codecs.lookup(encoding or "utf-8").name
    except LookupError:
        return b"\n"
    if name in {"utf-16", "utf-32"}:  # as the decoder reads what has no mark
        name += "-le"
    return "\n".encode(name) if name.startswith(("utf-16", "utf-32")) else b"\n"


def lines_of(body: bytes, encoding: str) -> list[bytes]:
    """The lines of a whole body that are not empty, line ends and a mark of the byte order off."""
    newline = newline_of(encoding)
    width = len(newline)
    if width == 1:
        return [line for part in body.split(b"\n") if (line := part.rstrip(b"\r"))]
    for mark in (
        codecs.BOM_UTF32_LE,
        codecs.BOM_UTF16_LE,
        codecs.BOM_UTF16_BE,
        codecs.BOM_UTF32_BE,
    ):
        if len(mark) == width and body.startswith(mark):
            body = body[width:]
    carriage, lines, at, search = newline.replace(b"\n", b"\r"), [], 0, 0
    while (end := body.find(newline, search)) != -1:
        if (end - at) % width:  # half of one character and half of the next
            search = end + 1
            continue
        lines.append(body[at:end].removesuffix(carriage))
        at = search = end + width
    return [line for line in (*lines, body[at:]) if line]


def composed(text: str) -> str:
    """Without a mark of the byte order at the beginning, letters and their marks as one (windows-1258, TCVN3)."""
    text = text.removeprefix("\ufeff")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def clean(text: str) -> str:
    """Without lone surrogates."""
    return _SURROGATE.sub("\ufffd", text)


def shown(value: object) -> str:
    """A value as a remark quotes it: one line, bounded, nothing that moves a terminal's cursor."""
    text = value if isinstance(value, str) else repr(value)
    cut = text[:MAX_NOTED]
    return ascii(cut)[1:-1] if not cut.isprintable() else cut
