"""Values of the drill: a draft of a line, the line as it travels, and a ticket that must come of it.

A draft's `body` is finished text, or a Windows document whose record id is still to be given: ids
count up per computer and channel over the whole day, so they can only be given after the merge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

By = Literal["single", "correlation"]


@dataclass(frozen=True, slots=True)
class Trip:
    """What a line must bring about: a match of `rule` whose episode belongs to `entity`.

    `agency` is empty for the agency of the line's source, else the one the finding belongs to
    (`soc` for a correlation across agencies). A correlation groups by folded values: its entity is in
    small letters.
    """

    rule: str
    entity: str
    by: By = "single"
    agency: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """A line before the merge. `story` is the key of the attack it belongs to, None for noise."""

    at: datetime
    source: str
    body: bytes | Mapping[str, Any]
    story: str | None = None
    trips: tuple[Trip, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One record as its sender hands it over, without the transport's framing."""

    at: datetime
    source: str
    body: bytes
    story: str | None = None
    trips: tuple[Trip, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ExpectedTicket:
    """One episode that the stories bring about. `originals` is sorted, repeats kept."""

    rule: str
    agency: str
    entity: str
    originals: tuple[str, ...]
    by: By = "single"
    story: str = ""
