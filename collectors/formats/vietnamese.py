"""Python codecs of the Vietnamese encodings that it lacks: `tcvn3` (ABC), `viscii` and `vni`.

In: ``vietnamese.tsv``, each letter with its bytes. Out: codecs for `bytes.decode` and `str.encode` once `register`
was called, which importing `collectors.formats.text` does::

    b"Tr\\xc7n \\xa7\\xf8c".decode("tcvn3")          'Trần Đức'
    b"Tra\\xe0n \\xd1\\xf6\\xf9c".decode("vni")      'Trần Đức'

TCVN3's fonts have no capitals with tone marks: where they stand for themselves here they are VN1's, and those
that VN1 puts on control characters are written as VN2 does, the letter and a combining mark. VISCII gives six
control characters to letters. VNI writes a letter and its mark as two characters of windows-1252.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

_NAMES: Final = {
    "tcvn3": "tcvn3", "tcvn": "tcvn3", "abc": "tcvn3", "viscii": "viscii", "vni": "vni", "vni_windows": "vni",
}  # fmt: skip
_MARKS: Final = dict(enumerate("\u0300\u0309\u0303\u0301\u0323", 0xB0))  # TCVN's own tone marks
_NONE: Final = "\ufffe"  # what `charmap_decode` takes for undefined

Coder = Callable[..., tuple[bytes, int]]
Decoder = Callable[..., tuple[str, int]]


@cache
def table(encoding: str) -> dict[str, bytes]:
    """The bytes of every letter in `tcvn` (VN1), `viscii` or `vni`."""
    lines = Path(__file__).with_name("vietnamese.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    place = ("tcvn", "viscii", "vni").index(encoding) + 1
    return {row[0]: bytes.fromhex(row[place]) for row in rows}


def _single(
    letters: dict[str, bytes], more: dict[int, str], spelled: dict[int, str]
) -> tuple[Coder, Decoder]:
    """A code of one byte a letter; `spelled` are letters that it writes as several."""
    chars = [chr(code) if code < 128 else _NONE for code in range(256)]
    known = {written[0]: letter for letter, written in letters.items()} | more
    for code, char in known.items():
        chars[code] = char
    reading = "".join(chars)
    writing = codecs.charmap_build(reading)

    def encode(text: str, errors: str = "strict") -> tuple[bytes, int]:
        made: bytes = codecs.charmap_encode(text.translate(spelled), errors, writing)[0]
        return made, len(text)

    def decode(data: bytes, errors: str = "strict") -> tuple[str, int]:
        return codecs.charmap_decode(data, errors, reading)

    return encode, decode


def _tcvn3() -> tuple[Coder, Decoder]:
    letters = table("tcvn")
    above = {letter: code for letter, code in letters.items() if code[0] >= 0x80}
    apart = {one: unicodedata.normalize("NFD", one) for one in letters.keys() - above.keys()}
    # only the tone comes off, the last of the marks: Ừ is Ư and a grave accent, TCVN has no horn
    compose = unicodedata.normalize
    spelled = {ord(one): compose("NFC", text[:-1]) + text[-1] for one, text in apart.items()}
    return _single(above, {0xA0: "\xa0", **_MARKS}, spelled)


def _vni() -> tuple[Coder, Decoder]:
    written = {letter: code.decode("cp1252") for letter, code in table("vni").items()}
    read = {spelling: letter for letter, spelling in written.items()}
    # a capital with the small form of its mark is written by people, and can only mean the capital
    read |= {text[0] + text[1].lower(): letter for text, letter in read.items() if len(text) == 2}
    find = re.compile("|".join(sorted(map(re.escape, read), key=len, reverse=True))).sub
    spelled = {ord(letter): spelling for letter, spelling in written.items()}

    def encode(text: str, errors: str = "strict") -> tuple[bytes, int]:
        return text.translate(spelled).encode("cp1252", errors), len(text)

    def decode(data: bytes, errors: str = "strict") -> tuple[str, int]:
        return find(lambda m: read[m[0]], bytes(data).decode("cp1252", errors)), len(data)

    return encode, decode


@cache
def _codec(name: str) -> codecs.CodecInfo:
    if name == "viscii":
        encode, decode = _single(table("viscii"), {}, {})
    else:
        encode, decode = _tcvn3() if name == "tcvn3" else _vni()
    return codecs.CodecInfo(encode, decode, name=name)


def _search(name: str) -> codecs.CodecInfo | None:
    known = _NAMES.get(name.replace("-", "_").replace(" ", "_"))
    return None if known is None else _codec(known)


@cache
def register() -> None:
    """Once a process."""
    codecs.register(_search)
