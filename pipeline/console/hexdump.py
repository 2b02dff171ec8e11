"""Bytes as people read them: sixteen a row, in hexadecimal and as what of them is plain ASCII.

hexdump(b"\\xff\\xfeA\\x00")  →  [HexRow("0000", "ff fe 41 00", "··A·")]
"""

from __future__ import annotations

from typing import Final, NamedTuple

WIDTH: Final = 16


class HexRow(NamedTuple):
    """`offset` and `digits` are hexadecimal; what is not a visible ASCII character is a dot in `text`."""

    offset: str
    digits: str
    text: str


def hexdump(body: bytes) -> list[HexRow]:
    return [
        HexRow(
            f"{start:04x}",
            body[start : start + WIDTH].hex(" "),
            "".join(chr(b) if 0x20 <= b < 0x7F else "·" for b in body[start : start + WIDTH]),
        )
        for start in range(0, len(body), WIDTH)
    ]
