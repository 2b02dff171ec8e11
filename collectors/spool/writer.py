"""The one writer of a node's spool: many callers, one fdatasync for all that wait.

In: `append` (blocks) or `submit` (a future) with drafts. Out: a `Receipt`, when the records are on
disk. Invariant: a call is answered with a receipt only when `layout`'s invariant 2 holds; if it
raises, nothing of it is in the spool and its sequences go to the next call. A full or failing disk
is tried again with every call, so that the writer goes on when space returns.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self

from collectors.spool import layout, segments
from collectors.spool.errors import SpoolFullError, SpoolIOError
from collectors.spool.folder import Folder
from collectors.spool.recent import RecentRequests

_LOG = logging.getLogger(__name__)
_GROUP_BYTES: Final = 8 << 20
_RECORD_OVERHEAD: Final = 96
_NO_SPACE: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Receipt(NamedTuple):
    """The sequences that a call got. `repeated`: an earlier request had brought the same."""

    first: int
    records: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """Sizes in bytes, times in seconds. `spool_bytes` is the whole node folder; `free_bytes` is left
    to others on the disk; `waiting_bytes` may wait in memory for the disk."""

    segment_bytes: int = 32 << 20
    segment_age: float = 3600
    spool_bytes: int = 20 << 30
    free_bytes: int = 0
    waiting_bytes: int = 64 << 20
    request_window: float = 600


class _Call(NamedTuple):
    drafts: Sequence[layout.Draft]
    request: bytes
    size: int
    future: Future[Receipt]


class SpoolWriter:
    """Opens the folder (one process at a time), recovers its tail, and takes appends from any thread."""

    def __init__(self, root: Path, node: str, limits: SpoolLimits | None = None) -> None:
        self.node, self.limits = node, limits or SpoolLimits()
        self._folder = Folder(segments.node_folder(root, node), node, self.limits)
        self.damaged = self._folder.damaged
        self.last = self._folder.next - 1
        self._recent = RecentRequests(self.limits.request_window)
        self._recent.recover(self._folder.recent, self._folder.clock.now(), time.monotonic())
        self._condition = threading.Condition()
        self._queue: list[_Call] = []
        self._waiting = 0
        self._pending: dict[bytes, Future[Receipt]] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"spool-{node}", daemon=True)
        self._thread.start()

    @property
    def used(self) -> int:
        """Bytes of the node's folder."""
        return self._folder.used

    def knows(self, request: bytes) -> bool:
        """Whether it was stored within the window."""
        with self._condition:
            return self._recent.get(request, time.monotonic()) is not None

    def newest(self, count: int) -> list[tuple[bytes, int, int]]:
        """The requests that were stored last: their hash, first sequence and number of records."""
        with self._condition:
            return self._recent.newest(count)

    def append(self, drafts: Sequence[layout.Draft], request: bytes = b"") -> Receipt:
        """Store `drafts` as one batch; they are on disk when this returns.

        `request` (16 bytes) names the request that brought them: within the window a second one
        gets the first one's receipt. Raises SpoolFullError or SpoolIOError: nothing is stored.
        """
        return self.submit(drafts, request).result()

    def submit(self, drafts: Sequence[layout.Draft], request: bytes = b"") -> Future[Receipt]:
        """As `append`, at once; the future is set by the writer's thread."""
        if not drafts:
            raise ValueError("a batch without records")
        size = sum(len(d.body) for d in drafts) + _RECORD_OVERHEAD * len(drafts)
        with self._condition:
            if self._closing:
                raise SpoolIOError("the spool is closing", where=str(self._folder.path))
            if request and (answered := self._repeat(request)) is not None:
                return answered
            if self._waiting and self._waiting + size > self.limits.waiting_bytes:
                raise SpoolFullError(
                    "the disk is slower than the senders",
                    where=str(self._folder.path),
                    got=f"{self._waiting} bytes waiting",
                    remedy="The sender tries again later",
                )
            call = _Call(drafts, request or layout.NO_REQUEST, size, _future())
            if request:
                self._pending[request] = call.future
            self._queue.append(call)
            self._waiting += size
            self._condition.notify()
        return call.future

    def close(self) -> None:
        """Store what waits, then let go of the folder."""
        with self._condition:
            if self._closing:
                return
            self._closing = True
            self._condition.notify()
        self._thread.join()
        self._folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _repeat(self, request: bytes) -> Future[Receipt] | None:
        future = _future()
        if pending := self._pending.get(request):
            # The first may still fail; then the second fails alike, and the sender comes a third time.
            pending.add_done_callback(lambda first: _follow(first, future))
            return future
        known = self._recent.get(request, time.monotonic())
        if known is None:
            return None
        future.set_result(Receipt(*known, repeated=True))
        return future

    def _run(self) -> None:
        while True:
            with self._condition:
                if not self._queue and not self._closing:
                    self._condition.wait(timeout=30)
                if not self._queue and self._closing:
                    return
                group = self._take_group()
            if group:
                self._commit(group)
            else:
                self._folder.seal_if_old()

    def _take_group(self) -> list[_Call]:
        group: list[_Call] = []
        size = 0
        for call in self._queue:
            if group and size + call.size > _GROUP_BYTES:
                break
            group.append(call)
            size += call.size
        del self._queue[: len(group)]
        return group

    def _commit(self, group: list[_Call]) -> None:
        written: list[tuple[_Call, Receipt]] = []
        parts: list[bytes] = []
        size = 0
        try:
            for call in group:
                if self._folder.must_roll(size + call.size):
                    self._flush(parts, written)
                    self._folder.roll()
                    size = 0
                elif not parts:
                    self._folder.prepare()
                self._pack(call, parts, written)
                size += call.size
            self._flush(parts, written)
        except Exception as error:  # noqa: BLE001 - whatever it is, each caller must hear of it
            self._refuse([call for call in group if not call.future.done()], error)

    def _pack(self, call: _Call, parts: list[bytes], written: list[tuple[_Call, Receipt]]) -> None:
        first = written[-1][1].first + written[-1][1].records if written else self._folder.next
        now = self._folder.clock.now()
        try:
            packed = layout.pack_batch(call.drafts, first, now, call.request, self._folder.salt)
        except (
            TypeError,
            ValueError,
        ) as error:  # a draft that cannot be written, a lone surrogate say
            self._refuse([call], error)
            return
        parts.append(packed)
        written.append((call, Receipt(first, len(call.drafts))))

    def _flush(self, parts: list[bytes], written: list[tuple[_Call, Receipt]]) -> None:
        if not parts:
            return
        requests = [
            layout.Request(call.request, receipt.first, receipt.records, self._folder.clock.now())
            for call, receipt in written
            if call.request != layout.NO_REQUEST
        ]
        count = sum(receipt.records for _, receipt in written)
        self._folder.append(b"".join(parts), count, requests)
        self.last = self._folder.next - 1
        self._settle(written)
        parts.clear()
        written.clear()

    def _settle(self, written: list[tuple[_Call, Receipt]]) -> None:
        with self._condition:
            for call, receipt in written:
                self._waiting -= call.size
                if call.request != layout.NO_REQUEST:
                    self._pending.pop(call.request, None)
                    self._recent.add(call.request, receipt.first, receipt.records, time.monotonic())
        for call, receipt in written:
            call.future.set_result(receipt)

    def _refuse(self, calls: list[_Call], error: Exception) -> None:
        with self._condition:
            for call in calls:
                self._waiting -= call.size
                self._pending.pop(call.request, None)
        # Without the frames that it came through: they hold the records, and through their futures this error, so
        # that each refusal would keep megabytes until the garbage collector finds the circle.
        told = self._in_words(error.with_traceback(None)).with_traceback(None)
        for call in calls:
            call.future.set_exception(told)

    def _in_words(self, error: Exception) -> Exception:
        if not isinstance(error, OSError):
            return error
        where = str(self._folder.path)
        if error.errno in _NO_SPACE:
            _LOG.warning("the spool's disk is full: %s", where)
            return SpoolFullError(
                "the spool's disk is full",
                where=where,
                remedy="Free space on it; senders try again",
            )
        _LOG.error("the spool cannot be written: %s: %s", where, error)
        return SpoolIOError(
            "the spool cannot be written", where=where, got=str(error), remedy="Check the disk"
        )


def _future() -> Future[Receipt]:
    """One that cannot be cancelled: a caller who goes away changes nothing for the writer."""
    future: Future[Receipt] = Future()
    future.set_running_or_notify_cancel()
    return future


def _follow(first: Future[Receipt], second: Future[Receipt]) -> None:
    error = first.exception()
    if error is not None:
        second.set_exception(error)
    else:
        second.set_result(first.result()._replace(repeated=True))
