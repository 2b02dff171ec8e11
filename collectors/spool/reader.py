"""Reading a node's spool, in any process: only what is durable, in order of sequence.

In: `read(after, limit)`. Out: `RawRecord`s from `after` + 1 on, without a gap. Invariant: a record is
given only when its CRC is right; what cannot be read is named (`SpoolDamagedError`), never skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from collectors.spool import segments
from collectors.spool.errors import SpoolDamagedError
from collectors.spool.scan import Scan
from collectors.spool.steady import steady_now
from pipeline.model.records import RawRecord

READ_BYTES: Final = 64 << 20
READABLE_AT_ONCE: Final = 10_000


class SpoolReader:
    """Reads one node. Keeps its place between calls, so that reading on costs no search."""

    def __init__(self, root: Path, node: str) -> None:
        self.node = node
        self.folder = segments.node_folder(root, node)
        self._scan: Scan | None = None

    def durable(self) -> int:
        """The last sequence that is on disk; 0 if there is none."""
        mark = segments.read_durable(self.folder)
        newest = self._segments()[-1:]
        sealed = newest[0].last or newest[0].first - 1 if newest else 0
        return max(mark.last if mark else 0, sealed)

    def first(self) -> int:
        """The first sequence that is still in the spool (the next one, if it is empty)."""
        found = self._segments()
        return found[0].first if found else self.durable() + 1

    def read(self, after: int, limit: int, *, max_bytes: int = READ_BYTES) -> list[RawRecord]:
        """At most `limit` durable records from `after` + 1 on; fewer at a damaged place or `max_bytes`.

        Raises SpoolDamagedError when the first record asked for cannot be read: the caller settles
        the error's range as refused, and asks on after its `last`.
        """
        out: list[RawRecord] = []
        durable = self.durable()
        while len(out) < limit and after < durable:
            scan = self._at(after + 1)
            try:
                found = scan.take(after + 1, min(limit - len(out), durable - after), max_bytes)
            except SpoolDamagedError:
                if out:
                    return out
                raise
            if not found:  # the writer is just moving on; the next call sees more
                break
            out.extend(found)
            after = found[-1].sequence
            max_bytes -= sum(len(record.body) for record in found)
            if max_bytes <= 0:
                break
        return out

    def readable(self, after: int) -> Iterator[RawRecord]:
        """What is durable behind `after`, without what is gone or damaged: for looking back, not for settling."""
        after, last = max(after, self.first() - 1), self.durable()
        while after < last:
            try:
                records = self.read(after, READABLE_AT_ONCE)
            except SpoolDamagedError as error:
                after = error.last
                continue
            if not records:
                return
            yield from records
            after = records[-1].sequence

    def release(self, upto: int, *, retain: float = 900, now: float | None = None) -> list[Path]:
        """Delete the sealed segments that are settled up to `upto` and older than `retain` seconds.

        Not below the writer's request window: a resend is recognised by what the segments hold.
        """
        return segments.release(
            self.folder, upto, retain, steady_now(self.folder) / 1e6 if now is None else now
        )

    def close(self) -> None:
        if self._scan is not None:
            self._scan.close()
            self._scan = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _segments(self) -> list[segments.Segment]:
        return segments.segments(self.folder) if self.folder.is_dir() else []

    def _at(self, sequence: int) -> Scan:
        """The scan of the segment that holds `sequence`, where it stands or from its start."""
        scan = self._scan
        if scan is not None and scan.may_hold(sequence):
            return scan
        self.close()
        for _ in range(100):  # a segment may be renamed between the listing and the opening
            holder = self._holder(sequence)
            try:
                self._scan = Scan(holder.path, holder.first, holder.last)
            except FileNotFoundError:
                continue
            return self._scan
        raise SpoolDamagedError(
            sequence, sequence, where=str(self.folder), got="no segment holds it"
        )

    def _holder(self, sequence: int) -> segments.Segment:
        found = self._segments()
        holder = None
        for segment in found:
            if segment.first <= sequence:
                holder = segment
        if holder is None or (holder.last is not None and holder.last < sequence):
            following = [segment.first for segment in found if segment.first > sequence]
            last = (following[0] if following else self.durable() + 1) - 1
            raise SpoolDamagedError(
                sequence, last, where=str(self.folder), got="no segment holds them"
            )
        return holder
