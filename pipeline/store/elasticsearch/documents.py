"""Events as documents: dotted names, as they came, and beside them what makes them found.

    {"event.id": "0a…", "@timestamp": "2026-11-24T09:00:00.123456Z", "user.name": "Lan", "source.port": 443,
     "thapcanh.extra": ["x.left=Seven"], "thapcanh.find": ["x.left=seven", "event.original="],
     "thapcanh.text": "tran duc logged in", "thapcanh.typed.@timestamp": 1764061200123456}

In: a table of one dataset. Out: lines for `_bulk`, built column by column. Nothing is lost on the way: what is
cut for searching stands whole in `thapcanh.whole`, a column without a field in `thapcanh.other`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline.model import events
from pipeline.model.fold import lower
from pipeline.store import query_values as values
from pipeline.store.elasticsearch.columns import (
    FIND,
    LONG_TOKENS,
    OTHER,
    TEXT,
    TYPED,
    WHOLE,
    escaped,
    leftover,
    mapped,
)
from pipeline.store.elasticsearch.folding import folded
from pipeline.store.elasticsearch.indices import DRILL, KEPT, index_of
from pipeline.store.fields import CUT, cut

if TYPE_CHECKING:
    import pyarrow as pa

SLICE: Final = 1_000
"""Rows that are built at once."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An event ready for `_bulk`: where it goes, its hex id, its receipt, and its two lines."""

    index: str
    id: str
    sequence: int
    line: bytes


def prepare(table: pa.Table, dataset: str, drills: frozenset[str]) -> Iterator[list[Prepared]]:
    """The rows in pieces. `drills` are the agencies of a rehearsal, whose events lie apart."""
    for start in range(0, table.num_rows, SLICE):
        yield _piece(table.slice(start, SLICE), dataset, drills)


def _piece(table: pa.Table, dataset: str, drills: frozenset[str]) -> list[Prepared]:
    import orjson

    documents: list[dict[str, Any]] = [{} for _ in range(table.num_rows)]
    finds: list[list[str]] = [[] for _ in documents]
    for name in table.column_names:
        if name != events.EXTRA:
            _column(name, table.column(name), documents, finds)
    if events.EXTRA in table.column_names:
        _extra(table.column(events.EXTRA).to_pylist(), documents, finds)
    made = []
    indices: dict[tuple[str, int, int], str] = {}
    created = table.column(events.CREATED).to_pylist()
    for document, find, moment in zip(documents, finds, created, strict=True):
        if find:
            document[FIND] = find
        retention = DRILL if document[events.AGENCY] in drills else KEPT
        key = (retention, moment.year, moment.month)
        index = indices.get(key) or indices.setdefault(key, index_of(dataset, retention, moment))
        name = document[events.ID]
        line = b'{"create":{"_index":"%b","_id":"%b"}}\n%b' % (
            index.encode(), name.encode(), orjson.dumps(document),
        )  # fmt: skip
        made.append(Prepared(index, name, document[events.SEQUENCE], line))
    return made


def _column(
    name: str, column: Any, documents: list[dict[str, Any]], finds: list[list[str]]
) -> None:
    """Put a column's values into the documents; nulls into none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count == len(column):
        return
    kind = mapped().get(name)
    if kind is None:
        _other(name, column, documents, finds)
        return
    if kind == "date" and pa.types.is_timestamp(column.type):
        micros = column.cast(pa.timestamp("us", "UTC"))
        _put(TYPED + name, micros.cast(pa.int64()).to_pylist(), documents)
        texts = pc.strftime(micros, "%Y-%m-%dT%H:%M:%SZ").to_pylist()
        _put(name, texts, documents)
        return
    found = column.to_pylist()
    match kind:
        case "id":
            found = [None if one is None else one.hex() for one in found]
        case "words":
            _words(name, found, documents, finds)
        case "sealed":
            found = [None if one is None else base64.b64encode(one).decode() for one in found]
            for value, find in zip(found, finds, strict=True):
                if value is not None:
                    find.append(leftover(name, ""))
        case "text" if _longest(column) > CUT:
            found = _shortened(name, found, documents)
    _put(name, found, documents)


def _put(name: str, found: list[Any], documents: list[dict[str, Any]]) -> None:
    for document, value in zip(documents, found, strict=True):
        if value is not None:
            document[name] = value


def _words(
    name: str, texts: list[str | None], documents: list[dict[str, Any]], finds: list[list[str]]
) -> None:
    for (text, long), document, find, whole in zip(
        folded(texts), documents, finds, texts, strict=True
    ):
        if whole is not None:
            document[TEXT] = text
            find.append(leftover(name, ""))
        if long:
            document[LONG_TOKENS] = long


def _longest(column: Any) -> int:
    """Bytes of the longest text of a column (0 where there is no text)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_list(column.type):
        column = pc.list_flatten(column)
    if not pa.types.is_string(column.type):
        return 0
    return pc.max(pc.binary_length(column)).as_py() or 0


def _shortened(name: str, found: list[Any], documents: list[dict[str, Any]]) -> list[Any]:
    short: list[Any] = []
    for document, value in zip(documents, found, strict=True):
        if isinstance(value, list):
            part: Any = [None if one is None else cut(one) for one in value]
        else:
            part = None if value is None else cut(value)
        if part != value:
            document.setdefault(WHOLE, {})[name] = value
        short.append(part)
    return short


def _other(name: str, column: Any, documents: list[dict[str, Any]], finds: list[list[str]]) -> None:
    """A column that has no field: kept as it is, and found like a leftover."""
    import pyarrow as pa

    timed = pa.types.is_timestamp(column.type)
    plain = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()) if timed else column
    for document, find, value, kept in zip(
        documents, finds, column.to_pylist(), plain.to_pylist(), strict=True
    ):
        if value is None:
            continue
        document.setdefault(OTHER, {})[name] = {"micros": kept} if timed else kept
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                _find(name, _text(one), find)


def _extra(maps: list[Any], documents: list[dict[str, Any]], finds: list[list[str]]) -> None:
    kinds = mapped()
    for pairs, document, find in zip(maps, documents, finds, strict=True):
        if not pairs:
            continue
        document[events.EXTRA] = [f"{escaped(name)}={value}" for name, value in pairs]
        find.append(leftover(events.EXTRA, ""))
        other = document.get(OTHER, ())
        for name, value in pairs:
            if name in document or name in other:
                continue  # the column of that name is what a reader sees
            _find(name, value, find)
            match kinds.get(name):
                case "long" | "float":
                    number = values.number(value)
                    if number is not None:
                        document[TYPED + name] = float(number)
                case "ip" if values.address(value) is not None:
                    document[TYPED + name] = value


def _find(name: str, value: str, find: list[str]) -> None:
    if len(name) <= CUT:
        find.append(leftover(name, lower(cut(value))))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
