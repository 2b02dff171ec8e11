"""A walk through one segment, batch by batch.

In: a segment's file and the sequence wanted. Out: records in order, each with the right CRC.
It stands before a batch (`_position`, whose first sequence should be `_next`) and holds the records
of the batch before it, None for each that is damaged.
"""

from __future__ import annotations

import os
from pathlib import Path
from zlib import crc32

import msgspec

from collectors.spool import layout, segments
from collectors.spool.errors import SpoolDamagedError
from pipeline.model.records import RawRecord


class Scan:
    def __init__(self, path: Path, first: int, last: int | None) -> None:
        """`last` is None for a segment whose name says that it is open."""
        self._path, self._first, self._last = path, first, last
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        head = layout.unpack_head(os.pread(self._descriptor, layout.HEAD.size, 0))
        self._head = head if head and head.first == first else None
        self._salt = head.salt if head else 0
        self._end = 0
        self._footer_seen = False
        self._rewind()

    def may_hold(self, sequence: int) -> bool:
        self._find_end()
        return self._first <= sequence and (self._last is None or sequence <= self._last)

    def take(self, sequence: int, limit: int, max_bytes: int) -> list[RawRecord]:
        """Records from `sequence` on, at most `limit`; empty where nothing more is durable here.

        Ends before a damaged place, and raises SpoolDamagedError when asked to begin there.
        """
        self._find_end()
        out: list[RawRecord] = []
        try:
            while len(out) < limit and max_bytes > 0 and self._load(sequence):
                start = sequence - self._loaded_first
                for record in self._loaded[start : start + limit - len(out)]:
                    if record is None:
                        raise self._damage(sequence, sequence, "a wrong checksum")
                    out.append(record)
                    sequence += 1
                    max_bytes -= len(record.body)
                    if max_bytes <= 0:
                        break
        except SpoolDamagedError:
            if not out:
                raise
        return out

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _rewind(self) -> None:
        self._position, self._next = layout.HEAD.size, self._first
        self._loaded: list[RawRecord | None] = []
        self._loaded_first = self._first

    def _find_end(self) -> None:
        """How far the segment may be read. Its footer comes after all its batches were durable."""
        if self._footer_seen:
            return
        mark = segments.read_durable(self._path.parent)  # before the footer, never after it
        footer = segments.read_footer(self._descriptor, self._salt)
        if footer is not None:
            self._end, self._last, self._footer_seen = footer.end, footer.last, True
        elif self._last is not None or (mark is not None and mark.segment > self._first):
            self._end = os.fstat(self._descriptor).st_size  # sealed, its footer damaged
        elif mark is not None and mark.segment == self._first:
            self._end = mark.offset

    def _load(self, sequence: int) -> bool:
        """See that the batch with `sequence` is loaded; False if nothing is durable there yet."""
        if self._loaded_first <= sequence < self._loaded_first + len(self._loaded):
            return True
        if self._head is None:
            raise self._damage(sequence, self._known_last(sequence), "a damaged head")
        if sequence < self._next:
            self._rewind()
        while (batch := self._batch()) is not None:
            if batch.first > sequence:
                raise self._damage(sequence, batch.first - 1, "no valid batch")
            self._position, self._next = batch.end, batch.first + batch.records
            if sequence < self._next:
                self._loaded = self._records(batch)
                self._loaded_first = batch.first
                return True
        last = self._known_last(0)
        if sequence <= last:
            raise self._damage(sequence, last, "the end of the segment")
        return False

    def _known_last(self, least: int) -> int:
        if self._last is not None:
            return self._last
        mark = segments.read_durable(self._path.parent)
        return max(least, mark.last if mark and mark.offset <= self._end else 0)

    def _batch(self) -> layout.Batch | None:
        """The next batch with a valid header, at its place or, after damage, further on."""
        if self._position >= self._end:
            return None
        header = os.pread(self._descriptor, layout.BATCH.size, self._position)
        batch = layout.unpack_batch(header, 0, self._salt, self._position)
        if batch is not None and batch.first >= self._next and batch.end <= self._end:
            return batch
        start = self._position + 1
        data = os.pread(self._descriptor, self._end - start, start)
        found = layout.find_batch(data, 0, self._next, self._salt, limit=len(data), base=start)
        return None if found is None else layout.unpack_batch(data, found, self._salt, start)

    def _records(self, batch: layout.Batch) -> list[RawRecord | None]:
        data = memoryview(os.pread(self._descriptor, batch.end - batch.start, batch.start))
        salt, unpack, overhead = self._salt, layout.RECORD.unpack_from, layout.RECORD.size
        found: list[RawRecord | None] = []
        position, end = 0, len(data)
        for _ in range(batch.records):
            record = None
            if position + overhead <= end:
                size, crc = unpack(data, position)
                position += overhead
                payload = data[position : position + size]
                position += size
                if position <= end and crc32(payload, salt) == crc:
                    record = _decoded(payload)
            found.append(record)
        return found

    def _damage(self, first: int, last: int, got: str) -> SpoolDamagedError:
        return SpoolDamagedError(first, last, where=f"{self._path} byte {self._position}", got=got)


def _decoded(payload: memoryview) -> RawRecord | None:
    try:
        return layout.decode_record(payload)
    except msgspec.MsgspecError:
        return None
