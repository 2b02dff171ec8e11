"""What kind a field is, to a search: how its values are read and compared.

In: a field's name. Out: ``text`` (whole value, case aside), ``words`` (tokens of free text), ``long``,
``float``, ``boolean``, ``date``, ``ip``, ``id`` (of an event), or ``sealed`` (kept, but not searched).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from pipeline.model import events
from pipeline.normalise.ecs import load_ecs

CUT: Final = 8_192
"""Bytes of a value that are searched, in either store."""

KindOf: TypeAlias = Callable[[str], str]

_OWN: Final = {
    events.ID: "id",
    events.ORIGINAL: "words",
    events.ORIGINAL_BYTES: "sealed",
    events.EXTRA: "sealed",
    events.SEQUENCE: "long",
}


def ecs_kind(name: str) -> str:
    """The kind by ECS and our envelope; what neither knows is text."""
    kind = _OWN.get(name) or load_ecs().field(name).kind
    return "text" if kind == "object" else kind


def cut(text: str) -> str:
    """The part of a text that is searched."""
    if len(text) * 4 <= CUT:
        return text
    raw = text.encode("utf-8", "surrogatepass")
    return text if len(raw) <= CUT else raw[:CUT].decode("utf-8", "ignore")
