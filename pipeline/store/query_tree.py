"""What a search asks, as a small typed tree that every store answers alike.

A leaf speaks of one field and holds if any of the field's values does; a missing field holds for no
leaf, so `Not` of a leaf holds for it. Text is compared in lower case (`pipeline.model.fold.lower`),
numbers as numbers, times as microseconds since 1970, addresses as 16 bytes (IPv4 mapped into IPv6).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias


class Wild(Enum):
    """In a pattern: any run of characters, or exactly one."""

    ANY = "*"
    ONE = "?"


Pattern: TypeAlias = tuple[str | Wild, ...]


@dataclass(frozen=True, slots=True)
class Everything:
    """Every event."""


@dataclass(frozen=True, slots=True)
class Exists:
    """The field has a value."""

    field: str


@dataclass(frozen=True, slots=True)
class Keyword:
    """The whole value, in lower case."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Wildcard:
    """The whole value, in lower case, fits the pattern."""

    field: str
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class TextRange:
    """The value, in lower case, stands between the two in the order of code points; None is open."""

    field: str
    low: str | None
    high: str | None
    with_low: bool = True
    with_high: bool = True


@dataclass(frozen=True, slots=True)
class Numbers:
    """None is open."""

    field: str
    low: int | float | None
    high: int | float | None
    with_low: bool = True
    with_high: bool = True


@dataclass(frozen=True, slots=True)
class Times:
    """Microseconds since 1970 in `[start, stop)`; None is open."""

    field: str
    start: int | None
    stop: int | None


@dataclass(frozen=True, slots=True)
class Addresses:
    """16 bytes each, both ends included. Nothing fits where `last` comes before `first`."""

    field: str
    first: bytes
    last: bytes


@dataclass(frozen=True, slots=True)
class Truth:
    field: str
    value: bool


@dataclass(frozen=True, slots=True)
class EventId:
    value: bytes


@dataclass(frozen=True, slots=True)
class Words:
    """Folded tokens of `event.original`, one after the other; with `open_start` the first may be the end
    of a token, with `open_end` the last may be the beginning of one."""

    tokens: tuple[str, ...]
    open_start: bool = False
    open_end: bool = False


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Node


Leaf: TypeAlias = (
    Exists | Keyword | Wildcard | TextRange | Numbers | Times | Addresses | Truth | EventId | Words
)
Node: TypeAlias = Leaf | Everything | And | Or | Not


def leaves(node: Node) -> Iterator[Leaf]:
    """Every leaf, from left to right."""
    match node:
        case And(parts) | Or(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)
        case Everything():
            return
        case _:
            yield node


def field_of(leaf: Leaf) -> str:
    """The name of the field that a leaf speaks of; empty for words and ids."""
    return "" if isinstance(leaf, EventId | Words) else leaf.field
