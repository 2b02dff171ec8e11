"""Which runs of three characters a row group's free text has: a search for words leaves out groups that lack one of theirs.

In: an Arrow array of texts. Out: one bit for each run of three of 38 signs (a parting, 26 letters, 10 digits, any other
letter) of the folded text (``Lan-ANH`` is `` lan anh ``: " la", "lan", "an ", "n a", …): 6.7 kB a group, which the
file's footer carries compressed to a third. A group that lacks a run of the words' cannot hold them; another may.
"""

from __future__ import annotations

import hashlib
import struct
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pipeline.store.query_tree import Words
from pipeline.store.spaced import spaced

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bits = npt.NDArray[np.uint8]
    Codes = npt.NDArray[np.uint16]

_SIGNS: Final = 38
_OTHER: Final = _SIGNS - 1
SIZE: Final = _SIGNS**3 // 8
"""Bytes of a group's bits."""
KEY: Final = f"thapcanh.trigrams.1.{unicodedata.unidata_version}".encode()
"""The footer's name for them. Another Unicode folds otherwise: bits of one are none for the other."""
_HEAD: Final = struct.Struct(">I8s")
_HARMED: Final = "what the footer says of words is harmed"
_PART: Final = 1 << 15


def bits_of(texts: Any) -> Bits:
    """The packed bits of a text column; missing texts have none."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    have = np.zeros(1 << 16, dtype=np.bool_)
    texts = pa.chunked_array([texts]) if isinstance(texts, pa.Array) else texts
    for chunk in texts.chunks:
        piece = chunk.drop_null()
        plain = pc.string_is_ascii(piece)
        for part in _parts(_joined(piece.filter(plain))):
            have[_runs(part)] = True
        for text in piece.filter(pc.invert(plain)).to_pylist():
            have[_runs(_of_folded(f" {' '.join(spaced(text).split())} "))] = True
    return np.packbits(have[: SIZE * 8])


def pack(groups: Sequence[Any]) -> bytes:
    """The bits of a file's groups, as its footer carries them."""
    import pyarrow as pa

    bits = b"".join(bits_of(one).tobytes() for one in groups)
    packed: bytes = pa.compress(bits, codec="zstd", asbytes=True)
    return _HEAD.pack(len(groups), _digest(bits)) + packed


def unpack(packed: bytes | None) -> Bits | None:
    """A row a group; None if the file has none. Raises ArrowInvalid or OSError for what was not written so."""
    import numpy as np
    import pyarrow as pa

    if packed is None:
        return None
    if len(packed) < _HEAD.size:
        raise pa.ArrowInvalid(_HARMED)
    groups, digest = _HEAD.unpack_from(packed)
    bits = pa.decompress(packed[_HEAD.size :], groups * SIZE, codec="zstd", asbytes=True)
    if _digest(bits) != digest:
        raise pa.ArrowInvalid(_HARMED)
    return np.frombuffer(bits, dtype=np.uint8).reshape(groups, SIZE)


def _digest(bits: bytes) -> bytes:
    return hashlib.blake2b(bits, digest_size=8).digest()


def may_hold(bits: Bits, words: Words) -> bool:
    """Whether a group with these bits may have a text that holds the words."""
    import numpy as np

    text = " ".join(words.tokens)
    text = ("" if words.open_start else " ") + text + ("" if words.open_end else " ")
    runs = _runs(_of_folded(text))
    return bool(((bits[runs >> 3] >> (7 - (runs & 7)).astype(np.uint8)) & 1).all())


def _runs(codes: Codes) -> Codes:
    import numpy as np

    return codes[:-2] * np.uint16(_SIGNS**2) + codes[1:-1] * np.uint16(_SIGNS) + codes[2:]


def _joined(texts: Any) -> npt.NDArray[np.uint8]:
    """All the texts' bytes, a line's end around each."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    offsets = pa.array([0, len(texts)], pa.int32())
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, texts), "\n")[0].as_buffer()
    edge = np.full(1, ord("\n"), dtype=np.uint8)
    return np.concatenate((edge, np.frombuffer(joined, dtype=np.uint8), edge))


def _parts(data: npt.NDArray[np.uint8]) -> Iterator[Codes]:
    """The signs of ASCII bytes, never two partings in a row, in parts that a core's cache holds; each part but the
    first begins with the last two signs of the one before."""
    import numpy as np

    last = np.zeros(0, dtype=np.uint16)
    for start in range(0, len(data), _PART):
        codes = np.concatenate((last, _table()[data[start : start + _PART]]))
        keep = codes != 0
        keep[1:] |= codes[:-1] != 0
        keep[: max(1, len(last))] = True
        codes = codes[keep]
        yield codes
        last = codes[-2:]


def _of_folded(text: str) -> Codes:
    """The signs of a text that is folded, with single spaces."""
    import numpy as np

    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    return np.where(points < 0x80, _table()[points & 0x7F], np.uint16(_OTHER))


@cache
def _table() -> Codes:
    """The sign of each ASCII character."""
    import numpy as np

    table = np.zeros(256, dtype=np.uint16)
    for place in range(26):
        table[ord("a") + place] = table[ord("A") + place] = 1 + place
    for place in range(10):
        table[ord("0") + place] = 27 + place
    return table
