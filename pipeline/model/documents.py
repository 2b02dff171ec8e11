"""From a document to what a person can click: its fields in a line each, and the query each leads to.

In: a nested ECS document. Out: ``[("host.name", "SRV-01"), …]`` in the order of the alphabet, the fields
that people look at first before it; and ``host.name:"SRV-01"``, quoted so that the value cannot be
anything but a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pipeline.model import events

FIRST: Final = (
    events.TIME,
    "event.dataset",
    "event.code",
    "event.action",
    "event.outcome",
    "host.name",
    "user.name",
    "source.ip",
    "destination.ip",
    "process.executable",
    "process.command_line",
    "url.original",
    "dns.question.name",
)
HIDDEN: Final = frozenset({events.ORIGINAL, events.ORIGINAL_BYTES, events.NODE, events.SEQUENCE})
"""Not in the list of fields: shown by itself, or internal (a sequence is never shown to an agency)."""


def flatten(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted names; lists of values stay lists, empty values are left out."""
    flat: dict[str, Any] = {}
    for name, value in document.items():
        full = prefix + str(name)
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{full}.")
        elif value not in (None, "", [], ()):
            flat[full] = value
    return flat


def fields(document: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    """Every shown field with its values, the well-known ones first."""
    flat = flatten(document)
    known = [name for name in FIRST if name in flat]
    rest = sorted(name for name in flat if name not in FIRST and name not in HIDDEN)
    return [(name, _values(flat[name])) for name in [*known, *rest]]


def escaped(field: str) -> str:
    """A field's name as a query takes it: leftovers of a sender's own can hold spaces, colons, brackets.

    >>> escaped("winlog.event_data.Logon Type")
    'winlog.event_data.Logon\\\\ Type'
    """
    if field in ("AND", "OR", "NOT", "TO"):
        return f"\\{field}"
    return re.sub(r"([^\w.@])", r"\\\1", field)


def term(field: str, value: Any) -> str:
    """A Lucene clause that holds exactly for this value of this field."""
    field = escaped(field)
    if isinstance(value, bool):
        return f"{field}:{str(value).lower()}"
    if isinstance(value, datetime):
        value = value.isoformat()
    quoted = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'{field}:"{quoted}"'


def first_of(flat: Mapping[str, Any], *names: str) -> str:
    """The first of the fields that the event has, as text."""
    for name in names:
        if name in flat:
            return str(_values(flat[name])[0])
    return ""


def _values(value: Any) -> list[Any]:
    many = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return list(value) if many else [value]
