"""The spool's format on disk. This docstring is the format; the functions below follow it.

A node's folder::

    spool/<node>/
      lock                                                  held with flock by the one writer
      durable                                               how far records are on disk, see below
      clock                                                 what the spool's times go by, see `steady`
      00000000000000000001-00000000000000081734.sealed      a sealed segment: first and last sequence
      00000000000000081735.open                             the open tail, at most one

All numbers are little-endian. Every CRC is zlib's CRC-32, started with the segment's random
*salt*, which no sender knows: bytes inside a log line never pass for a batch.

A *segment* is a head, batches, and, once sealed, a footer and a trailer::

    head     8s "TCSPOOL1" | u64 first | u64 created (micros) | 64s node, NUL-padded | u32 salt | u32 crc
    batch    4s b7 "TCb" | u32 count | u32 size | u64 first | u64 received (micros) | 16s request | u32 crc
             then `size` bytes: `count` records
    record   u32 size | u32 crc | `size` bytes: msgpack of `RawRecord` as an array
    footer   msgpack of `Footer`
    trailer  u32 size of the footer | u32 crc of the footer | 8s "TCSEALED"

A *batch* is what one call of the writer appends: one HTTP request, what one socket had to give. It
is wholly in the spool or wholly out of it. `request` is the hash of the request that brought it,
zeros where the transport has none.

`durable` is one 40-byte block, overwritten in place after each fdatasync and before anybody is
told: ``u64 segment (its first sequence) | u64 offset | u64 last sequence | u64 micros | u32 crc | u32 0``.
It may lag behind the disk (after a power cut), never run ahead of it.

Invariants
 1. Sequences run from 1 without a gap, over batches, segments and restarts.
 2. A batch is acknowledged only when it, all before it, and `durable` are written and its segment
    is fdatasynced; the folder is fsynced when a segment is made or renamed.
 3. Readers go no further than `durable` in the open tail. A sealed segment is durable as a whole.
 4. A sealed segment never changes; it is deleted when all its records are settled and it is older
    than the retain time. The newest segment is never deleted.

Recovery, by the writer at start, reads the open tail only (and the footers of the last minutes)
 a. A tail with a valid trailer was sealed: its renaming is completed.
 b. From the head on, each batch must have a valid header, the next sequence, its full length and
    valid records. The first that has not, *beyond* `durable`, is a torn write that nobody was told
    of: the file is cut there. What is whole beyond `durable` is kept and synced.
 c. The same *before* `durable` is damage, not tearing: nothing is cut, the sequences stay taken,
    and the walk goes on at the next valid header.
 d. A tail that is no longer than its head, and torn, holds nothing and is made anew. A longer one
    whose head is damaged is renamed ``*.damaged``; its receipts are lost and reported.

Reading: a record whose CRC is off, or a hole before a later batch, is reported as damaged
(`SpoolDamagedError` with the range); all others are read.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from pipeline.model.records import RawRecord

HEAD: Final = struct.Struct("<8sQQ64sII")
BATCH: Final = struct.Struct("<4sIIQQ16sI")
RECORD: Final = struct.Struct("<II")
TRAILER: Final = struct.Struct("<II8s")
DURABLE: Final = struct.Struct("<QQQQII")

HEAD_MAGIC: Final = b"TCSPOOL1"
BATCH_MARK: Final = b"\xb7TCb"
SEALED_MAGIC: Final = b"TCSEALED"
NO_REQUEST: Final = bytes(16)

_encode = msgspec.msgpack.Encoder().encode
decode_record: Final = msgspec.msgpack.Decoder(RawRecord).decode


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A record before it has a sequence; the fields are those of `RawRecord`."""

    source: str
    received: int
    body: bytes
    identity: bytes = b""
    peer: str = ""
    replaces: str = ""
    session: int = 0


class Request(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A request whose records the segment holds: its hash, receipts and time in micros."""

    request: bytes
    first: int
    count: int
    received: int


class Footer(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a sealed segment says of itself. `end` is the offset where its batches end, `digest`
    the BLAKE2b-256 of all bytes before it."""

    first: int
    last: int
    count: int
    end: int
    sealed: int
    digest: bytes
    requests: list[Request]


class Head(NamedTuple):
    first: int
    created: int
    node: str
    salt: int


class Batch(NamedTuple):
    """A batch's header, with the offset of its first record and of what follows it."""

    first: int
    records: int
    received: int
    request: bytes
    start: int
    end: int


class Durable(NamedTuple):
    """Records up to `last` are on disk; those of the segment that begins at `segment` end at `offset`."""

    segment: int
    offset: int
    last: int
    micros: int


def pack_head(head: Head) -> bytes:
    raw = HEAD.pack(HEAD_MAGIC, head.first, head.created, head.node.encode(), head.salt, 0)[:-4]
    return raw + crc32(raw).to_bytes(4, "little")


def unpack_head(data: bytes) -> Head | None:
    if len(data) < HEAD.size:
        return None
    magic, first, created, node, salt, crc = HEAD.unpack_from(data)
    if magic != HEAD_MAGIC or crc != crc32(data[: HEAD.size - 4]):
        return None
    return Head(first, created, node.rstrip(b"\0").decode(), salt)


def pack_batch(
    drafts: Sequence[Draft], first: int, received: int, request: bytes, salt: int
) -> bytes:
    """The bytes of one batch, its records counted from `first`."""
    parts = [b""]
    size = 0
    kept = b"" if request == NO_REQUEST else request
    for sequence, draft in enumerate(drafts, first):
        payload = _encode(
            RawRecord(
                sequence, draft.source, draft.received, draft.body,
                draft.identity, draft.peer, kept, draft.replaces, draft.session,
            )
        )  # fmt: skip
        length = len(payload)
        parts.append(RECORD.pack(length, crc32(payload, salt)))
        parts.append(payload)
        size += length + 8
    raw = BATCH.pack(BATCH_MARK, len(drafts), size, first, received, request, 0)[:-4]
    parts[0] = raw + crc32(raw, salt).to_bytes(4, "little")
    return b"".join(parts)


def unpack_batch(data: bytes | memoryview, offset: int, salt: int, base: int = 0) -> Batch | None:
    """The header at `offset` of `data`, if one is there and whole. Offsets are given plus `base`."""
    if offset + BATCH.size > len(data):
        return None
    mark, count, size, first, received, request, crc = BATCH.unpack_from(data, offset)
    if mark != BATCH_MARK or crc != crc32(data[offset : offset + BATCH.size - 4], salt):
        return None
    start = offset + BATCH.size + base
    return Batch(first, count, received, request, start, start + size)


def records_are_whole(data: bytes | memoryview, batch: Batch, salt: int) -> bool:
    """Whether every record of the batch is there, with the right CRC."""
    position, view = batch.start, memoryview(data)
    for _ in range(batch.records):
        if position + RECORD.size > batch.end:
            return False
        size, crc = RECORD.unpack_from(view, position)
        position += RECORD.size + size
        if position > batch.end or crc32(view[position - size : position], salt) != crc:
            return False
    return position == batch.end


def find_batch(
    data: bytes, offset: int, least: int, salt: int, *, limit: int, base: int = 0
) -> int | None:
    """The offset (within `data`) of the next valid header of a batch that begins at `least` or later."""
    while (offset := data.find(BATCH_MARK, offset, limit)) != -1:
        batch = unpack_batch(data, offset, salt, base)
        if batch is not None and batch.first >= least:
            return offset
        offset += 1
    return None


def pack_footer(footer: Footer, salt: int) -> bytes:
    raw = _encode(footer)
    return raw + TRAILER.pack(len(raw), crc32(raw, salt), SEALED_MAGIC)


_decode_footer = msgspec.msgpack.Decoder(Footer).decode


def trailer_size(data: bytes) -> int | None:
    """How long the footer before this trailer is; None if it is no trailer."""
    if len(data) != TRAILER.size:
        return None
    size, _, magic = TRAILER.unpack(data)
    return int(size) if magic == SEALED_MAGIC else None


def unpack_footer(data: bytes, salt: int) -> Footer | None:
    """The footer, of its bytes with the trailer; None if they are damaged."""
    size = trailer_size(data[-TRAILER.size :])
    if size is None or size != len(data) - TRAILER.size:
        return None
    raw = data[:size]
    if crc32(raw, salt) != TRAILER.unpack(data[size:])[1]:
        return None
    try:
        return _decode_footer(raw)
    except msgspec.MsgspecError:
        return None


def pack_durable(mark: Durable) -> bytes:
    raw = DURABLE.pack(*mark, 0, 0)
    return raw[:32] + crc32(raw[:32]).to_bytes(4, "little") + bytes(4)


def unpack_durable(data: bytes) -> Durable | None:
    if len(data) != DURABLE.size:
        return None
    segment, offset, last, micros, crc, _ = DURABLE.unpack(data)
    return Durable(segment, offset, last, micros) if crc == crc32(data[:32]) else None
