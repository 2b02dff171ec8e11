"""The open tail as a file: make it, append to it, cut it back, seal it.

In: packed batches. Out: bytes on disk, as `layout` describes them. Every method may raise OSError;
after one, `cut` must succeed before anything else is done.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from collectors.spool import layout, segments, tail


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


class SegmentFile:
    """`end` is where the next batch goes: all before it is acknowledged or was recovered."""

    def __init__(self, path: Path, descriptor: int, head: layout.Head, end: int) -> None:
        self.path, self.head, self.end = path, head, end
        self.requests: list[layout.Request] = []
        self._descriptor = descriptor
        self._digest = hashlib.blake2b(digest_size=32)

    @classmethod
    def create(cls, folder: Path, first: int, node: str, now: int) -> SegmentFile:
        """A new segment that begins at sequence `first`, on disk when this returns."""
        head = layout.Head(first, now, node, secrets.randbits(32))
        path = folder / segments.open_name(first)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        try:
            packed = layout.pack_head(head)
            write_at(descriptor, packed, 0)
            os.fsync(descriptor)
            sync_folder(folder)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        made = cls(path, descriptor, head, len(packed))
        made._digest.update(packed)
        return made

    @classmethod
    def recover(
        cls, path: Path, mark: layout.Durable | None
    ) -> tuple[SegmentFile, tail.Tail, layout.Footer | None] | None:
        """The tail as it was left; None if its head cannot be read (rule d). A footer means rule a."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        data = _read_all(descriptor)
        head = layout.unpack_head(data[: layout.HEAD.size])
        if head is None:
            os.close(descriptor)
            return None
        footer = segments.read_footer(descriptor, head.salt)
        end = footer.end if footer else len(data)
        found = tail.examine(data[:end] if footer else data, head, mark)
        segment = cls(path, descriptor, head, found.end)
        segment.requests = list(found.requests)
        segment._digest.update(memoryview(data)[: found.end])
        return segment, found, footer

    def write(self, data: bytes) -> None:
        """Write beyond `end` and sync. The data count only when `accept` follows."""
        write_at(self._descriptor, data, self.end)
        os.fdatasync(self._descriptor)

    def accept(self, data: bytes, requests: Iterable[layout.Request]) -> None:
        """What `write` wrote is durable, and the mark says so."""
        self._digest.update(data)
        self.end += len(data)
        self.requests.extend(requests)

    def cut(self) -> None:
        """Take away whatever lies beyond `end`."""
        if os.fstat(self._descriptor).st_size != self.end:
            os.ftruncate(self._descriptor, self.end)
        os.fdatasync(self._descriptor)

    def seal(self, last: int, now: int) -> None:
        """Write the footer and give the file its final name. The segment is closed thereafter."""
        footer = layout.Footer(
            self.head.first, last, last - self.head.first + 1, self.end, now,
            self._digest.digest(), self.requests,
        )  # fmt: skip
        write_at(self._descriptor, layout.pack_footer(footer, self.head.salt), self.end)
        os.fdatasync(self._descriptor)
        self.finish_sealing(last)

    def finish_sealing(self, last: int) -> None:
        self.path.rename(self.path.with_name(segments.sealed_name(self.head.first, last)))
        sync_folder(self.path.parent)
        self.close()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _read_all(descriptor: int) -> bytes:
    parts, offset = [], 0
    while part := os.pread(descriptor, 8 << 20, offset):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)
