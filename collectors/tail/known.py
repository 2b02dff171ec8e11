"""Which files are known and how far they are read; kept beside the spool, one file per input.

In: what the tailer learns. Out: the same after a restart. An `Entry` is one *content*: it begins when a file is
seen first or was emptied, and goes with it through renaming, copying and packing. `key` is the content's name in
the identity of its records; it is on disk before the first of them is spooled. A checkpoint may lag behind the
spool (`sequence` says how far it knows it): the records after it say the rest, see `Entries.recover`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from collectors.files import HEAD
from collectors.spool.segment_file import sync_folder
from collectors.tail.content import Mark
from pipeline.model.records import RawRecord

IDENTITY: Final = b"f\0"
MOST_GONE: Final = 2_000
EARLIER: Final = 4


class Entry(msgspec.Struct):
    """A content. All before `offset` is in the spool; `beyond` are first offsets of records after it that are
    too, with how many lines they have. `skipping`: the rest of the line at `offset` was cut off. `inode` is 0 when
    the content is gone from where it was; `emptied` is the inode, if that holds another now.
    `done` is size and time of a packed file that was read whole. `earlier` are the marks before the last one, the
    newest first, while the content is so short that its head is all of it."""

    key: bytes
    path: str
    device: int
    inode: int
    offset: int = 0
    mark: Mark | None = None
    beyond: dict[int, int] = {}
    skipping: bool = False
    done: tuple[int, int] | None = None
    ended: bool = False
    emptied: tuple[int, int] | None = None
    earlier: list[Mark] = []

    def remember(self, mark: Mark) -> None:
        """The content as far as it is read."""
        if mark.size == HEAD:
            self.earlier = []
        elif self.mark is not None and self.mark.at < mark.at:
            self.earlier = [self.mark, *self.earlier[: EARLIER - 1]]
        self.mark = mark

    def identity(self, offset: int) -> bytes:
        return IDENTITY + self.key + offset.to_bytes(8, "big")


class _Kept(msgspec.Struct):
    sequence: int
    entries: list[Entry]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Kept).decode


class Entries:
    """All contents of an input. Raises OSError where the checkpoint cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.sequence = 0
        self.here: dict[tuple[int, int], Entry] = {}
        self.gone: list[Entry] = []
        self.damaged = False
        self.dirty = False
        with contextlib.suppress(FileNotFoundError):
            try:
                kept = _decode(path.read_bytes())
            except msgspec.MsgspecError:
                self.damaged = (
                    True  # all is read anew; what has an identity of the content is recognised
                )
                return
            self.sequence = kept.sequence
            for entry in kept.entries:
                if entry.inode:
                    self.here[entry.device, entry.inode] = entry
                else:
                    self.gone.append(entry)

    def add(self, entry: Entry) -> None:
        self.here[entry.device, entry.inode] = entry
        self.dirty = True

    def lose(self, entry: Entry, *, emptied: bool) -> None:
        """It is no longer where it was; a copy or its packed form may turn up."""
        self.here.pop((entry.device, entry.inode), None)
        entry.emptied = (entry.device, entry.inode) if emptied else None
        entry.inode = 0
        if entry.offset:
            self.gone.append(entry)
            del self.gone[:-MOST_GONE]
        self.dirty = True

    def move(self, entry: Entry, device: int, inode: int, path: str) -> None:
        """The content is found again, as another file."""
        if entry in self.gone:
            self.gone.remove(entry)
        self.here.pop((entry.device, entry.inode), None)
        entry.device, entry.inode, entry.path = device, inode, path
        self.add(entry)

    def save(self) -> None:
        """Durable when this returns."""
        kept = _Kept(self.sequence, [*self.gone, *self.here.values()])
        draft = self._path.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        try:
            view = memoryview(_encode(kept))
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(self._path)
        sync_folder(self._path.parent)
        self.dirty = False

    def recover(self, records: Iterable[RawRecord], limit: int, *, contiguous: bool) -> None:
        """Take in what was spooled after the checkpoint. `limit` is where a line is cut."""
        by_key = {entry.key: entry for entry in [*self.gone, *self.here.values()]}
        for record in records:
            self.sequence = max(self.sequence, record.sequence)
            if len(record.identity) != 26 or not record.identity.startswith(IDENTITY):
                continue
            entry = by_key.get(record.identity[2:18])
            offset = int.from_bytes(record.identity[18:], "big")
            if entry is None or offset < entry.offset:
                continue
            if contiguous:
                entry.offset = offset + len(record.body)
                entry.skipping = len(record.body) >= limit
            else:
                entry.beyond[offset] = record.body.count(b"\n") + 1
        self.dirty = True
