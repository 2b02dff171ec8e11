"""The envelope of a batch: what the pipeline itself says of each event, column by column."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from collectors.formats.text import clean, decode
from pipeline.model import events
from pipeline.model.ids import receipt_identity
from pipeline.model.records import RawRecord
from pipeline.normalise.context import Context
from pipeline.normalise.types import Array

MAX_REMARKS: Final = 10
_LENGTH: Final = struct.Struct(">Q").pack
_TWO_LENGTHS: Final = struct.Struct(">QQ").pack
MAX_REMARK_TEXT: Final = 2_000


def is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("_", "-") in {"utf-8", "utf8"}


def texts(records: Sequence[RawRecord], encoding: str) -> tuple[list[str], dict[int, bytes]]:
    """The text of every record, and the bytes of those whose text cannot be turned back."""
    kept: dict[int, bytes] = {}
    if is_utf8(encoding):
        try:
            return [record.body.decode() for record in records], kept
        except UnicodeDecodeError:
            pass
    made: list[str] = []
    for row, record in enumerate(records):
        text, faithful = decode(record.body, encoding)
        made.append(clean(text))
        if not faithful:
            kept[row] = record.body
    return made, kept


def event_ids(
    records: Sequence[RawRecord], context: Context, own: Mapping[int, bytes], mapping: str
) -> list[bytes]:
    """As `pipeline.model.ids.event_id`, the keyed beginning shared by the batch, of what tells each record
    from every other: its own identity, the transport's, else its receipt. What supersedes an event is named
    by that event's id and the mapping that made it anew, whatever its bytes."""
    copies: dict[str, Callable[[], Any]] = {}
    receipt = receipt_identity(context.node, 0)
    receipt = _LENGTH(len(receipt)) + receipt[:-8]  # the sequence follows
    made: list[bytes] = []
    for row, record in enumerate(records):
        copy = copies.get(record.source)
        if copy is None:
            source = context.source_of(record).encode()
            base = hashlib.blake2b(key=context.key, digest_size=16)
            base.update(len(source).to_bytes(8, "big") + source)
            copy = copies[record.source] = base.copy
        digest = copy()
        body, known = record.body, own.get(row) or record.identity
        if record.replaces:
            body, known = b"", f"replaces\0{record.replaces}\0{mapping}".encode()
        if known:
            digest.update(_LENGTH(len(known)) + known + _LENGTH(len(body)))
        else:
            digest.update(receipt + _TWO_LENGTHS(record.sequence, len(body)))
        digest.update(body)
        made.append(digest.digest())
    return made


def original(records: Sequence[RawRecord], text: Sequence[str] | None) -> Array:
    """`event.original`: from the bytes at once where they are UTF-8."""
    from pipeline.normalise.arrow import pa

    if text is not None:
        return pa.array(list(text), pa.string())
    bodies = pa.array([record.body for record in records], pa.binary())
    if _ascii(bodies.buffers()[2]):
        return bodies.view(pa.string())
    return bodies.cast(pa.string())  # raises where some body is not UTF-8


def _ascii(data: Any) -> bool:
    """Whether no byte of a buffer has its highest bit set; eight are looked at at once."""
    if data is None:
        return True
    whole = len(data) // 8 * 8
    words = np.frombuffer(data, np.uint64, whole // 8)
    return (
        not (np.bitwise_or.reduce(words) & np.uint64(0x8080808080808080))
        and data[whole:].to_pybytes().isascii()
    )


def remark(notes: Sequence[str]) -> str:
    shown = "; ".join(notes[:MAX_REMARKS])
    if len(notes) > MAX_REMARKS:
        shown += f"; and {len(notes) - MAX_REMARKS} more"
    return clean(shown)[:MAX_REMARK_TEXT]


def constant(value: str | None, count: int) -> Array:
    from pipeline.normalise.arrow import pa

    return (
        pa.nulls(count, pa.string())
        if value is None
        else pa.repeat(pa.scalar(value, pa.string()), count)
    )


def _of_sources(sources: Sequence[str], alone: str, known: Mapping[str, str] | None) -> Array:
    """What a source says of its records: the same for all, or by the source of each."""
    from pipeline.normalise.arrow import pa

    if known is None:
        return constant(alone, len(sources))
    return pa.array(list(map(known.get, sources)), pa.string())


def _texts_or_nothing(values: Sequence[str]) -> Array:
    """Texts, of which the empty stand for nothing."""
    from pipeline.normalise.arrow import pa

    if not any(values):
        return pa.nulls(len(values), pa.string())
    return pa.array([value or None for value in values], pa.string())


def receipts(
    records: Sequence[RawRecord], context: Context, product: str, mapping: str
) -> dict[str, Array]:
    """The columns that come of the receipts and the circumstances."""
    from pipeline.normalise.arrow import pa

    utc, count = pa.timestamp("us", "UTC"), len(records)
    sources = [record.source for record in records]
    itself = context.owners and {source: source for source in context.owners}
    return {
        events.NODE: constant(context.node, count),
        events.SEQUENCE: pa.array([record.sequence for record in records], pa.int64()),
        events.AGENCY: _of_sources(sources, context.agency, context.owners),
        events.SOURCE: _of_sources(sources, context.source, itself),
        events.PRODUCT: constant(product, count),
        events.MAPPING: constant(mapping, count),
        events.REPLACES: _texts_or_nothing([record.replaces for record in records]),
        events.CREATED: pa.array([record.received for record in records], utc),
        events.INGESTED: pa.repeat(pa.scalar(context.ingested, utc), count),
        events.PEER: _texts_or_nothing([record.peer for record in records]),
    }


_TELLS_HOST: Final = (
    "host.name",
    "host.hostname",
    "observer.name",
    "observer.hostname",
    "observer.ip",
)


def sender_as_host(columns: Mapping[str, Array], peer: Array) -> dict[str, Array]:
    """A syslog line that names no host comes from its sender's address (RFC 3164, 4.3.3); else nothing.
    Lines without a priority were not sent by syslog: who sent those may be anyone's collector."""
    from pipeline.normalise.arrow import pa, pc

    priority = columns.get("log.syslog.priority")
    if priority is None or peer.null_count == len(peer):
        return {}
    nameless = pc.and_(pc.is_valid(priority), pc.is_valid(peer))
    for name in _TELLS_HOST:
        if name in columns:
            nameless = pc.and_(nameless, pc.is_null(columns[name]))
    if not nameless.true_count:
        return {}
    found = pc.if_else(nameless, peer, pa.scalar(None, pa.string()))
    known = columns.get("host.name")
    return {"host.name": found if known is None else pc.coalesce(known, found)}
