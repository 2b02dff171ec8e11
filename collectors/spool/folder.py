"""A node's folder in the writer's hands: lock, recovery, the open tail, the durable mark, limits.

In: packed bytes of whole batches. Out: their being durable. Used by the writer's thread alone.
Invariant: `next` counts only what is durable; after any failure the tail is cut back to it first.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collectors.spool import layout, segments
from collectors.spool.errors import SpoolBusyError, SpoolFullError, SpoolIOError
from collectors.spool.segment_file import SegmentFile, sync_folder, write_at
from collectors.spool.steady import SteadyClock

if TYPE_CHECKING:
    from collectors.spool.writer import SpoolLimits

_LOG = logging.getLogger(__name__)
_FOOTERS_AT_MOST: Final = 4096
_MEASURE_EVERY: Final = 0.2


class Folder:
    def __init__(self, path: Path, node: str, limits: SpoolLimits) -> None:
        self.path, self._node, self._limits = path, node, limits
        self.damaged: list[tuple[int, int]] = []
        self.recent: list[layout.Request] = []
        self.next, self.used = 1, 0
        self._tail: SegmentFile | None = None
        self._must_cut = False
        path.mkdir(parents=True, exist_ok=True)
        self._lock = take_lock(path)
        self.clock = SteadyClock(path)
        try:
            mark_path = path / segments.DURABLE_NAME
            mark = segments.read_durable(path)
            self._mark = os.open(mark_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            self._recover(mark)
            self.used = segments.used_bytes(path)
            self._measured = time.monotonic()
        except OSError as error:
            os.close(self._lock)
            raise SpoolIOError(
                "the spool cannot be opened", where=str(path), got=str(error)
            ) from error

    @property
    def salt(self) -> int:
        assert self._tail is not None
        return self._tail.head.salt

    def must_roll(self, more: int) -> bool:
        """Whether the tail is too long or too old for `more` bytes (it holds at least one record)."""
        tail = self._tail
        if tail is None or tail.end == layout.HEAD.size:
            return False
        old = (self.clock.now() - tail.head.created) / 1e6 > self._limits.segment_age
        return old or tail.end + more > self._limits.segment_bytes

    def prepare(self) -> None:
        """See that there is a sound tail to append to."""
        if self._tail is not None and self._must_cut:
            self._tail.cut()
        self._must_cut = False
        if self._tail is None:
            self._tail = SegmentFile.create(self.path, self.next, self._node, self.clock.now())
            self.used += layout.HEAD.size

    def roll(self) -> None:
        """Seal the tail and begin another."""
        self.prepare()
        tail = self._tail
        if tail is not None and self.next > tail.head.first:
            try:
                tail.seal(self.next - 1, self.clock.now())
            except OSError:
                self._must_cut = True
                raise
            self._tail = None
        self.prepare()

    def seal_if_old(self) -> None:
        """Called when nothing is to be done; a failure is tried again later."""
        if self.must_roll(0):
            with contextlib.suppress(OSError):
                self.roll()

    def append(self, data: bytes, count: int, requests: Iterable[layout.Request]) -> None:
        """Make `data` durable, or raise and leave the tail as it was."""
        self._refuse_if_full(len(data))
        tail = self._tail
        assert tail is not None
        self._must_cut = True
        tail.write(data)
        self._write_mark(tail.head.first, tail.end + len(data), self.next + count - 1)
        tail.accept(data, requests)
        self._must_cut = False
        self.next += count
        self.used += len(data)

    def close(self) -> None:
        if self._tail is not None:
            if self._must_cut:
                with contextlib.suppress(OSError):
                    self._tail.cut()
            self._tail.close()
        os.close(self._mark)
        os.close(self._lock)

    def _write_mark(self, segment: int, offset: int, last: int) -> None:
        write_at(
            self._mark,
            layout.pack_durable(layout.Durable(segment, offset, last, self.clock.now())),
            0,
        )

    def _refuse_if_full(self, more: int) -> None:
        limit, free = self._limits.spool_bytes, self._limits.free_bytes
        if self.used + more > limit and time.monotonic() - self._measured > _MEASURE_EVERY:
            self.used, self._measured = segments.used_bytes(self.path), time.monotonic()
        if self.used + more > limit:
            raise SpoolFullError(
                "the spool is full",
                where=str(self.path),
                got=f"{self.used} bytes",
                expected=f"at most {limit}",
                remedy="The normaliser or the store is behind or stopped; see `thapcanh doctor`",
            )
        if free and _free_bytes(self.path) < free + more:
            raise SpoolFullError(
                "the disk is nearly full",
                where=str(self.path),
                expected=f"{free} bytes left free",
                remedy="Free space on it, or shorten the retention",
            )

    def _recover(self, mark: layout.Durable | None) -> None:
        found = segments.segments(self.path)
        for segment in found:
            if segment.last is not None:
                self.next = max(self.next, segment.last + 1)
            else:
                self._recover_open(segment, mark, newest=segment is found[-1])
        if mark is not None and self.next <= mark.last:  # the tail itself is lost
            self.damaged.append((self.next, mark.last))
            self.next = mark.last + 1
        self._recover_requests(found)
        if self._tail is None:
            with contextlib.suppress(OSError):  # a full disk: the first append tries again
                self.prepare()
        if self._tail is not None and self.next > 1:
            self._write_mark(self._tail.head.first, self._tail.end, self.next - 1)
        for first, last in self.damaged:
            _LOG.error("spool of %s: records %d to %d are damaged", self._node, first, last)

    def _recover_open(
        self, segment: segments.Segment, mark: layout.Durable | None, *, newest: bool
    ) -> None:
        recovered = SegmentFile.recover(segment.path, mark)
        if recovered is None:
            if segment.path.stat().st_size <= layout.HEAD.size:
                segment.path.unlink()
            else:  # kept for those who want to look; its receipts are lost
                segment.path.rename(segment.path.with_suffix(".damaged"))
            sync_folder(self.path)
            return
        tail, found, footer = recovered
        self.damaged.extend(found.damaged)
        self.next = max(self.next, found.next)
        if footer is not None:
            self.recent.extend(tail.requests)
            tail.finish_sealing(footer.last)
            return
        tail.cut()
        self.recent.extend(tail.requests)
        if newest:
            self._tail = tail
        else:
            tail.seal(found.next - 1, self.clock.now())

    def _recover_requests(self, found: list[segments.Segment]) -> None:
        """From the newest sealed segments back, until one is older than the window."""
        oldest = self.clock.now() - int(self._limits.request_window * 1e6)
        sealed = [segment for segment in found if segment.last is not None]
        for segment in reversed(sealed[-_FOOTERS_AT_MOST:]):
            descriptor = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                head = layout.unpack_head(os.pread(descriptor, layout.HEAD.size, 0))
                footer = segments.read_footer(descriptor, head.salt) if head else None
            finally:
                os.close(descriptor)
            if footer is None:  # damaged: the reader will say so
                continue
            if footer.sealed < oldest:
                return
            self.recent.extend(footer.requests)


def take_lock(path: Path) -> int:
    """A descriptor that holds the folder as its writer; closing it lets go."""
    descriptor = os.open(path / segments.LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise SpoolBusyError(
            "another process writes to this spool",
            where=str(path),
            got=f"process {holder or '?'}",
            remedy="Stop it, or give this one another node name",
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _free_bytes(path: Path) -> int:
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize
