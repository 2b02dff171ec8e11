"""What a file is by its first bytes, and a name for it that harms nobody. Pure.

In: bytes, and the name that a browser gave. Out: a kind of `KINDS`, or nothing for what is none of them (programs
and web pages among them: a name never decides); and a name without path, control and direction characters.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_MAGIC: Final = (
    (b"%PDF-", "pdf"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"ElfFile\x00", "evtx"),
    (b"\xd4\xc3\xb2\xa1", "pcap"),
    (b"\xa1\xb2\xc3\xd4", "pcap"),
    (b"\x4d\x3c\xb2\xa1", "pcap"),
    (b"\x0a\x0d\x0d\x0a", "pcap"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"PK\x03\x04", "zip"),
)  # fmt: skip
_OFFICE: Final = (
    b"word/",
    b"xl/",
    b"ppt/",
    b"[Content_Types].xml",
    b"mimetypeapplication/vnd.oasis",
)
KINDS: Final = (
    "pdf",
    "png",
    "jpeg",
    "gif",
    "webp",
    "office",
    "text",
    "evtx",
    "pcap",
    "zip",
    "7z",
    "gzip",
)
_MARKUP: Final = re.compile(
    rb"<\s*(?:!doctype\s+html|html|head|body|script|svg|iframe|object|embed)\b", re.IGNORECASE
)
LONGEST: Final = 120
_ODD: Final = re.compile(r'[<>:"|?*%;\']')


def kind_of(body: bytes) -> str:
    """A kind of `KINDS`, or nothing."""
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "webp"
    found = next((kind for magic, kind in _MAGIC if body.startswith(magic)), "")
    if found == "zip" and any(mark in body[:4096] for mark in _OFFICE):
        return "office"
    return found or ("text" if _is_text(body) else "")


def _is_text(body: bytes) -> bool:
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            body = body.decode("utf-16").encode()
        except UnicodeDecodeError:
            return False
    if b"\0" in body or body.startswith((b"MZ", b"#!")) or _MARKUP.search(body[:65_536]):
        return False
    odd = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in body[:65_536])
    return odd * 100 <= len(body[:65_536])


def safe_name(given: str) -> str:
    """The last part of a path, in one line, readable from left to right, with its ending."""
    last = re.split(r"[/\\]", given.encode("utf-8", "replace").decode())[-1]
    composed = unicodedata.normalize("NFC", last)
    kept = "".join(
        " " if char.isspace() else char
        for char in composed
        if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn") or char in "\t\n\r"
    )
    name = " ".join(_ODD.sub("_", kept).split()).lstrip(". -")
    stem, dot, ending = name.rpartition(".")
    if dot and 0 < len(ending) <= 10:
        return f"{stem[: LONGEST - len(ending) - 1].rstrip('. ') or 'file'}.{ending}"
    return name[:LONGEST].rstrip(". ") or "file"
