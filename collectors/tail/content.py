"""The bytes of one file from a place on, plain or packed, and what they are recognised by.

In: a `Found` file. Out: `read(place, size)`. A packed file (gzip, xz, zstd: told by its first bytes) is read in
order; a place before the last one begins it anew. `Mark`s tell whether a file holds what was read before: its head
(up to 4,096 bytes), and the bytes (up to 4,096) before a place.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

import msgspec

from collectors.files import HEAD
from collectors.tail.scan import Found, under
from collectors.unpack import DAMAGE, most_unpacked, unpacked

WINDOW: Final = 4_096
_STEP: Final = 1 << 20
_PACKED: Final = (b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """`head` is the hash of the first `size` bytes, `window` that of the last bytes before `at`."""

    size: int
    head: bytes
    at: int
    window: bytes


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


class TooMuchError(Exception):
    """A packed file that unpacks to more than a log would."""


class Content(Protocol):
    packed: bool

    def read(self, place: int, size: int) -> bytes:
        """At most so many bytes from `place` on; fewer, or none, at the end. OSError, or unpack.DAMAGE."""

    def size(self) -> int | None:
        """How many bytes there are, None where only reading can tell."""

    def close(self) -> None: ...


def open_found(one: Found) -> Content:
    """Open what was found, and see that it is still that file, in its place. Raises OSError."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(one.path, flags)
    try:
        _see(descriptor, one)
        if os.pread(descriptor, 8, 0).startswith(_PACKED):
            return _Packed(os.fdopen(descriptor, "rb"))
    except BaseException:
        os.close(descriptor)
        raise
    return _Plain(descriptor)


def _see(descriptor: int, one: Found) -> None:
    about = os.fstat(descriptor)
    if (about.st_dev, about.st_ino) != (one.device, one.inode):
        raise FileNotFoundError("it has just become another file")
    where = str(Path(f"/proc/self/fd/{descriptor}").readlink()).removesuffix(" (deleted)")
    if not under(where, one.root):
        raise PermissionError("it lies outside of its pattern's folder")


class _Plain:
    packed = False

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, place: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, place)

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class _Packed:
    packed = True

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = cast("io.BufferedReader", raw)
        self._most = most_unpacked(os.fstat(raw.fileno()).st_size)
        self._begin()

    def _begin(self) -> None:
        self._raw.seek(0)
        self._stream = cast("io.BufferedReader", unpacked(self._raw, "a packed file"))
        self._place = 0

    def read(self, place: int, size: int) -> bytes:
        if place < self._place:
            self._begin()
        while self._place < place:
            step = self._stream.read(min(_STEP, place - self._place))
            if not step:
                return b""
            self._count(len(step))
        parts, left = [], size
        try:
            while left > 0 and (part := self._stream.read1(min(_STEP, left))):
                self._count(len(part))
                parts.append(part)
                left -= len(part)
        except DAMAGE:
            if not parts:  # else what stands before it first; the next call meets it again
                raise
        return b"".join(parts)

    def _count(self, more: int) -> None:
        self._place += more
        if self._place > self._most:
            raise TooMuchError

    def size(self) -> None:
        return None

    def close(self) -> None:
        self._raw.close()


def mark(content: Content, at: int, old: Mark | None = None) -> Mark | None:
    """Of what stands before `at`; None when it is no longer there. The head of `old` is not read anew."""
    window = content.read(max(0, at - WINDOW), min(WINDOW, at))
    if len(window) < min(WINDOW, at):
        return None
    if old is not None and old.size == HEAD:
        return Mark(old.size, old.head, at, digest(window))
    head = content.read(0, min(HEAD, at))
    return Mark(len(head), digest(head), at, digest(window)) if head else None


def bears(content: Content, known: Mark) -> bool:
    """Whether the file holds what the mark was made of."""
    head = content.read(0, known.size)
    if len(head) < known.size or digest(head) != known.head:
        return False
    start = max(0, known.at - WINDOW)
    return digest(content.read(start, known.at - start)) == known.window
