"""The modifiers `wide`, `utf16`, `utf16be` and `base64offset`, over bytes.

In: a value. Out: the text that such an encoding leaves in a log. pySigma's own work on characters: its
`utf16` puts a UTF-8 mark in front, `wide` refuses everything but ASCII, and `base64offset` cuts a
non-ASCII value in the wrong place; a rule would then be silent. These take their places on import.

    CommandLine|utf16|base64offset|contains: 'tải về'
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, ClassVar, Final

from sigma.exceptions import SigmaValueError
from sigma.modifiers import SigmaValueModifier, modifier_mapping
from sigma.types import SigmaExpansion, SigmaString


class _Octets(SigmaString):
    """A text whose characters stand for the bytes of the same number."""

    def __bytes__(self) -> bytes:
        return "".join(piece for piece in self.s if isinstance(piece, str)).encode("latin-1")


class _Encoded(SigmaValueModifier[SigmaString, SigmaString]):
    encoding: ClassVar[str]
    mark: ClassVar[bytes] = b""

    def modify(self, val: SigmaString) -> SigmaString:
        pieces: list[Any] = [self.mark.decode("latin-1")] if self.mark else []
        for piece in val.s:
            if not isinstance(piece, str):
                pieces.append(piece)
                continue
            try:
                pieces.append(piece.encode(self.encoding).decode("latin-1"))
            except UnicodeEncodeError:
                raise SigmaValueError(f"{piece!r} cannot be written in {self.encoding}") from None
        made = _Octets()
        made.s = pieces
        return made


class Wide(_Encoded):
    encoding = "utf-16-le"


class Utf16(_Encoded):
    encoding, mark = "utf-16-le", b"\xff\xfe"


class Utf16Be(_Encoded):
    encoding = "utf-16-be"


class Base64Offset(SigmaValueModifier[SigmaString, SigmaExpansion]):
    """What of base64 stays the same wherever in a longer text the value begins."""

    def modify(self, val: SigmaString) -> SigmaExpansion:
        if val.contains_special():
            raise SigmaValueError("base64 of a value with wildcards")
        return SigmaExpansion([SigmaString(text) for text in inner_base64(bytes(val))])


_BEGIN: Final = (0, 2, 3)
_END: Final = (None, -3, -2)


def inner_base64(octets: bytes) -> list[str]:
    """The three forms, by how many bytes of the group of three come before."""
    return [
        b64encode(b" " * before + octets)[
            _BEGIN[before] : _END[(len(octets) + before) % 3]
        ].decode()
        for before in range(3)
    ]


modifier_mapping.update(wide=Wide, utf16=Utf16, utf16be=Utf16Be, base64offset=Base64Offset)
