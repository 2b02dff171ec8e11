"""A row as people and Elasticsearch know it: a nested ECS document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pipeline.model import events
from pipeline.model.clock import to_iso

if TYPE_CHECKING:
    import pyarrow as pa

ITSELF: Final = "_value"
"""Where a name is both a value and the beginning of others (``user`` and ``user.name``)."""


def nested(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Dotted names to nested objects; nothing is lost when names clash."""
    document: dict[str, Any] = {}
    for name, value in pairs:
        *path, leaf = name.split(".")
        place = document
        for part in path:
            inner = place.get(part)
            if not isinstance(inner, dict):
                inner = place[part] = {} if inner is None else {ITSELF: inner}
            place = inner
        known = place.get(leaf)
        if isinstance(known, dict):
            known[ITSELF] = value
        else:
            place[leaf] = value
    return document


def plain(name: str, value: Any) -> Any:
    """A value as JSON has it: times in ISO form, the id in hexadecimal, bytes as latin-1 escapes."""
    if isinstance(value, datetime):
        return to_iso(value)
    if isinstance(value, bytes):
        return value.hex() if name == events.ID else value.decode("latin-1")
    return value


def flat_event(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row (of `Table.to_pylist`) as dotted names, leftovers among them, nulls left out."""
    flat = {
        name: plain(name, value)
        for name, value in row.items()
        if value is not None and name != events.EXTRA
    }
    for name, value in row.get(events.EXTRA) or ():
        flat.setdefault(name, value)
    return flat


def event_as_document(table: pa.Table, row: int) -> dict[str, Any]:
    """The nested ECS document of one row."""
    return nested(sorted(flat_event(table.slice(row, 1).to_pylist()[0]).items()))


def events_as_documents(table: pa.Table) -> list[dict[str, Any]]:
    """The nested ECS documents of all rows."""
    return [nested(sorted(flat_event(row).items())) for row in table.to_pylist()]
