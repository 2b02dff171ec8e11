"""EVTX chunk by chunk: so that a file that is being written, or is damaged in places, gives all that is whole.

In: a stream of EVTX bytes, and which records of each chunk were read before. Out: `Chunk` values with the records that
are new, in the ``evtx`` package's JSON. A chunk is 64 KiB and stands for itself: it is parsed behind a head of
its own, so that damage ends at its edge. A log that goes round writes new records into an old chunk: its first
record's number tells.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final, NamedTuple, cast

from collectors.files import evtx_fingerprint

HEAD: Final = 4_096
CHUNK: Final = 65_536
MAGIC: Final = b"ElfFile\0"
_CHUNK_MAGIC: Final = b"ElfChnk\0"
_RECORD_MAGIC: Final = b"\x2a\x2a\0\0"
_FIRST: Final = 512
_MOST_BROKEN: Final = 200
Read = Mapping[int, tuple[int, int]]
"""Of each chunk: the number of its first record, and of the last one that was read."""


class Chunk(NamedTuple):
    """`records` of (number, JSON) that are new. `first` is the chunk's first number, `last` the last that could be
    read, 0 if none. `faults` says what could not be read."""

    place: int
    first: int
    last: int
    records: list[tuple[int, bytes]]
    faults: list[str]


class Evtx:
    """An EVTX stream. Raises ValueError if it is none."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._head = _take(stream, HEAD)
        if len(self._head) < HEAD or not self._head.startswith(MAGIC):
            raise ValueError("no EVTX file")
        self._next = _take(stream, CHUNK)
        self.fingerprint = bytes.fromhex(evtx_fingerprint(self._head + self._next))

    def chunks(self, read: Read) -> Iterator[Chunk]:
        """Those that hold something new, or are damaged."""
        index = 0
        while self._next:
            data, self._next = self._next, _take(self._stream, CHUNK)
            if data.strip(b"\0"):
                found = self._chunk(index, data, *read.get(index, (0, 0)))
                if found.records or found.faults:
                    yield found
            index += 1

    def _chunk(self, index: int, data: bytes, first: int, last: int) -> Chunk:
        number = _first_number(data)
        if len(data) < CHUNK or not data.startswith(_CHUNK_MAGIC) or not number:
            said = "is cut short" if len(data) < CHUNK else "is damaged"
            empty = data.startswith(_CHUNK_MAGIC) and not data[_FIRST:].strip(b"\0")
            return Chunk(index, first, last, [], [] if empty else [f"chunk {index} {said}"])
        after = last if number == first else 0
        if number == first and last and last == _last_number(data):
            return Chunk(index, first, last, [], [])
        records, faults = [], []
        for one in _records(self._head, data):
            if isinstance(one, str):
                faults.append(f"chunk {index}: {one}")
            elif one[0] > after:
                records.append(one)
        newest = max([after, *(place for place, _ in records)])
        return Chunk(index, number, newest, records, faults)


def _take(stream: BinaryIO, size: int) -> bytes:
    parts, left = [], size
    while left > 0 and (part := stream.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _first_number(data: bytes) -> int:
    """The number of the record at the chunk's beginning, 0 if none is there."""
    if data[_FIRST : _FIRST + 4] != _RECORD_MAGIC:
        return 0
    return int(struct.unpack_from("<Q", data, _FIRST + 8)[0])


def _last_number(data: bytes) -> int:
    """By the records' own heads, one after another."""
    place, number = _FIRST, 0
    while data[place : place + 4] == _RECORD_MAGIC and place + 24 <= len(data):
        size, found = struct.unpack_from("<IQ", data, place + 4)
        if size < 24:
            break
        number, place = int(found), place + size
    return number


def _records(head: bytes, data: bytes) -> Iterator[tuple[int, bytes] | str]:
    """The records of one chunk; a text for each that cannot be read."""
    import evtx

    made = bytearray(head)
    struct.pack_into("<QQ", made, 8, 0, 0)
    struct.pack_into("<H", made, 42, 1)
    broken = 0
    try:
        parser = evtx.PyEvtxParser(io.BytesIO(bytes(made) + data), number_of_threads=1)
        records = cast("Iterator[Any]", parser.records_json())
    except (RuntimeError, OSError, ValueError) as error:
        yield str(error)[:200]
        return
    while broken < _MOST_BROKEN:
        try:
            record = next(records)
        except StopIteration:
            return
        except (RuntimeError, OSError, ValueError) as error:
            broken += 1
            yield str(error)[:200]
            continue
        yield int(record["event_record_id"]), record["data"].encode("utf-8", "replace")
