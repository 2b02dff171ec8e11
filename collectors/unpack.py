"""Packed bytes to plain ones: gzip, xz and zstd, told by their first bytes, not by the file's name.

In: a stream of bytes. Out: a stream of the unpacked bytes. Invariant: a packing that is cut short
raises EOFError (zstd's own reader would just end), other damage what the library raises (`DAMAGE`).
"""

from __future__ import annotations

import gzip
import io
import lzma
import zlib
from typing import BinaryIO, Final, cast

import zstandard

from pipeline.model.errors import UsageError

DAMAGE: Final = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zstandard.ZstdError)
_BLOCK: Final = 128 * 1024
_PACKED: Final = 2 * 1024
"""Of zstd at a time: so little may hold sixty megabytes, and all that it holds comes at once."""
_MOST_RATIO: Final = 1_000
_SURELY_FINE: Final = 1 << 30
_MAX_WINDOW: Final = 2**27


def most_unpacked(size: int) -> int:
    """To how many bytes a packed file of that size may unpack, if it holds logs."""
    return max(_SURELY_FINE, _MOST_RATIO * size)


class _Zstd(io.RawIOBase):
    """A zstd stream of one or more frames that notices a missing end."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._unpacker = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        self._frame = self._unpacker.decompressobj()
        self._ready = b""
        self._inside = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        while not self._ready:
            packed = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame = self._unpacker.decompressobj()
                self._inside = False
            packed = packed or self._source.read(_PACKED)
            if not packed:
                if self._inside:
                    raise EOFError("the last frame has no end")
                return 0
            self._inside = True
            self._ready = self._frame.decompress(packed)
        part = self._ready[: len(view)]
        self._ready = self._ready[len(part) :]
        view[: len(part)] = part
        return len(part)


def unpacked(raw: io.BufferedReader, name: str) -> BinaryIO:
    """The plain bytes, whatever they were packed with."""
    head = raw.peek(8)[:8]
    if head[:2] == b"\x1f\x8b":
        return cast("BinaryIO", gzip.GzipFile(fileobj=raw))
    if head[:6] == b"\xfd7zXZ\x00":
        return cast("BinaryIO", lzma.LZMAFile(raw))
    if head[:4] == b"\x28\xb5\x2f\xfd":
        return cast("BinaryIO", io.BufferedReader(_Zstd(raw), _BLOCK))
    if head[:4] == b"PK\x03\x04" or head[:3] == b"BZh":
        raise UsageError(
            "this packing is not read",
            where=name,
            expected="plain, gzip, xz or zstd",
            remedy="unpack it first",
        )
    return raw
