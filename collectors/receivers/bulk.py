"""Elasticsearch's ``_bulk`` body: documents out of it, and the answer that a shipper expects.

In: the decompressed body, say::

    {"create":{"_index":"winlogbeat-8.19"}}
    {"@timestamp":"2026-11-24T09:00:00Z","event":{"code":"4625"},…}

Out: `Bulk` with each document's bytes as they came, and `answer` with an item per action, in order.
``create`` and ``index`` are taken; ``update`` and ``delete`` are refused item by item, as a log cannot be
changed. Pure: a resent body gives the same answer, ids included.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec

from pipeline.model.errors import UsageError

_encode = msgspec.json.Encoder().encode


class _Meta(msgspec.Struct, gc=False):
    index: str | None = msgspec.field(name="_index", default=None)
    id: str | None = msgspec.field(name="_id", default=None)


class _Action(msgspec.Struct, gc=False):
    create: _Meta | None = None
    index: _Meta | None = None
    update: _Meta | None = None
    delete: _Meta | None = None


_decode_action = msgspec.json.Decoder(_Action).decode


@dataclass(frozen=True, slots=True)
class Item:
    """One action: what to answer. `error` is None for a document that is taken. Equal action lines without
    an id, as nearly all are, share one."""

    action: str
    index: str
    id: str | None
    error: tuple[int, str, str] | None = None


@dataclass(slots=True)
class Bulk:
    """`documents` are the bytes that are taken, each with the id that its sender gave it, or None."""

    items: list[Item] = field(default_factory=list)
    documents: list[tuple[bytes, str | None]] = field(default_factory=list)


def parse(body: bytes, default_index: str, max_record: int) -> Bulk:
    """Raises UsageError when the lines are no pairs of action and document: then nothing is taken."""
    bulk = Bulk()
    known: dict[bytes, Item] = {}
    items, documents = bulk.items, bulk.documents
    lines = iter(enumerate(body.split(b"\n"), 1))
    for number, line in lines:
        item = known.get(line)
        if item is None:
            if not line or line == b"\r":
                continue
            item = _item(line, number, default_index)
            if item.id is None and len(known) < 1000:
                known[line] = item
        if item.action == "delete":
            items.append(replace(item, error=_REFUSED))
            continue
        document = next(lines, (0, b""))[1].rstrip(b"\r")
        if item.action == "update":
            item = replace(item, error=_REFUSED)
        elif not document:
            item = replace(item, error=_EMPTY)
        elif len(document) > max_record:
            item = replace(item, error=(413, "document_too_large", f"more than {max_record} bytes"))
        else:
            documents.append((document, item.id))
        items.append(item)
    return bulk


_EMPTY = (400, "parse_exception", "the document is missing or empty")
_REFUSED = (400, "illegal_argument_exception", "only create and index are taken")


def _item(line: bytes, number: int, default_index: str) -> Item:
    try:
        action = _decode_action(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(
            f"Malformed action/metadata line [{number}]",
            got=repr(line[:80]),
            expected='{"create":{…}} or {"index":{…}}',
        ) from error
    for name in ("create", "index", "update", "delete"):
        meta: _Meta | None = getattr(action, name)
        if meta is not None:
            return Item(name, meta.index or default_index, meta.id)
    raise UsageError(
        f"Malformed action/metadata line [{number}]", got=repr(line[:80]), expected="an action"
    )


def answer(bulk: Bulk, request: bytes, took: int, filter_path: str = "") -> bytes:
    """The response's body. Ids that the sender left to us follow from the request's hash.

    With a `filter_path` that leaves ids out (as Beats and Logstash ask) items are short.
    """
    short = bool(filter_path) and "_id" not in filter_path and "items.*.error" in filter_path
    prefix = request.hex()[:14].encode()
    parts: list[bytes] = []
    errors = False
    patterns: dict[tuple[str, str], bytes] = {}
    for number, item in enumerate(bulk.items):
        if item.error is not None:
            errors = True
            parts.append(_failed(item))
        elif short:
            parts.append(b'{"%s":{"status":201}}' % item.action.encode())
        else:
            pattern = patterns.get((item.action, item.index))
            if pattern is None:
                index = _encode(item.index).replace(b"%", b"%%")
                pattern = b'{"%s":{"_index":%s,"_id":%%b%s' % (
                    item.action.encode(),
                    index,
                    _CREATED,
                )
                patterns[item.action, item.index] = pattern
            ident = b'"%s%06d"' % (prefix, number) if item.id is None else _encode(item.id)
            parts.append(pattern % (ident, number))
    return b'{"errors":%s,"took":%d,"items":[%s]}' % (
        b"true" if errors else b"false",
        took,
        b",".join(parts),
    )


_CREATED = (
    b',"_version":1,"result":"created","_shards":{"total":1,"successful":1,"failed":0},'
    b'"_seq_no":%d,"_primary_term":1,"status":201}}'
)


def _failed(item: Item) -> bytes:
    assert item.error is not None
    status, kind, reason = item.error
    body = {
        "_index": item.index,
        "_id": item.id,
        "status": status,
        "error": {"type": kind, "reason": reason},
    }
    return _encode({item.action: body})
