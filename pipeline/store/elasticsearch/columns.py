"""Which names of events have a field of their own in the index, and of what kind.

In: ECS, the columns that rules read, the envelope. Out: ``{"source.ip": "ip", "user.name": "text", …}``. A name
that is the beginning of another (``user`` of ``user.name``) has none, for Elasticsearch would take it for an
object; it is stored and found like a leftover. Kinds are those of `pipeline.store.fields`, so that a query is
read the same way for both stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from pipeline.model import events
from pipeline.normalise.ecs import load_ecs
from pipeline.normalise.product import known_columns
from pipeline.store.fields import ecs_kind

TEXT: Final = "thapcanh.text"
"""Folded tokens of `event.original`, in order."""
LONG_TOKENS: Final = "thapcanh.long_tokens"
"""Tokens of more than `TOKEN` characters, whole up to `CUT` bytes."""
FIND: Final = "thapcanh.find"
"""``name=value`` in lower case of what has no field of its own."""
TYPED: Final = "thapcanh.typed."
"""Before a name: its times in microseconds, and what of leftovers reads as a number or an address."""
OTHER: Final = "thapcanh.other"
"""Columns without a field of their own, as they are; not indexed."""
WHOLE: Final = "thapcanh.whole"
"""Values that were cut, whole; not indexed."""
SUPERSEDED: Final = "thapcanh.superseded_by"
MICROS: Final = TYPED + events.TIME

TOKEN: Final = 250
"""Characters of a token that phrases see: the whitespace analyzer parts longer ones at 255."""
INTERNAL: Final = frozenset({TEXT, LONG_TOKENS, FIND, OTHER, WHOLE, SUPERSEDED})
_OBJECTS: Final = frozenset({"thapcanh", "thapcanh.typed"})


@cache
def mapped() -> Mapping[str, str]:
    """Name to kind: text, long, float, boolean, date, ip, id, words or sealed."""
    ecs = load_ecs()
    names = {name for name, field in ecs.fields.items() if field.kind != "object"}
    names |= known_columns()
    names |= set(events.ENVELOPE)
    names |= {events.EXTRA}
    names -= {name for name in names if name in INTERNAL or name.startswith(TYPED)}
    heads = set(_OBJECTS)
    for name in names | INTERNAL:
        parts = name.split(".")
        heads.update(".".join(parts[:count]) for count in range(1, len(parts)))
    return {name: ecs_kind(name) for name in sorted(names - heads)}


def kind_of(name: str) -> str:
    """The kind by which a query reads the values of a name; what has no field is text."""
    return mapped().get(name) or _unmapped(name)


def _unmapped(name: str) -> str:
    kind = ecs_kind(name)
    return kind if kind in ("id", "words", "sealed") else "text"


def leftover(name: str, value: str) -> str:
    """The entry of `FIND`: what stands before the first plain ``=`` is the name, whatever a sender called it."""
    return f"{escaped(name)}={value}"


def escaped(name: str) -> str:
    if "=" in name or "\\" in name:
        return name.replace("\\", "\\\\").replace("=", "\\=")
    return name
