"""Matches, episodes and findings, as values."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class Level(StrEnum):
    """Sigma's levels, the least first."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Level).index(self)


class Window(msgspec.Struct, frozen=True):
    """Per node the half-open range of sequences `(after, upto]`."""

    spans: dict[str, tuple[int, int]]

    def __bool__(self) -> bool:
        return any(upto > after for after, upto in self.spans.values())

    @property
    def size(self) -> int:
        return sum(upto - after for after, upto in self.spans.values())


class Match(msgspec.Struct, frozen=True, gc=False):
    """One rule revision and one event. `time` is the event's `@timestamp`, microseconds UTC."""

    rule: str
    revision: str
    event: str
    agency: str
    entity: str
    time: int
    node: str
    sequence: int


class Episode(msgspec.Struct, frozen=True):
    """A maximal set of matches of one rule, agency and entity, none further from its neighbour than
    the rule's quiet time. `first` and `last` are microseconds UTC; `events` their hex ids in time order.
    """

    rule: str
    agency: str
    entity: str
    first: int
    last: int
    events: tuple[str, ...]


class Finding(msgspec.Struct, frozen=True):
    """One episode as the state holds it; counts are exact, `samples` bounded."""

    id: str
    rule: str
    revision: str
    agency: str
    entity: str
    level: Level
    title: str
    first: datetime
    last: datetime
    count: int
    merged_into: str = ""
