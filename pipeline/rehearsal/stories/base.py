"""What a story is told with: offsets from the start of the day, and a line with what it must trip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pipeline.rehearsal import cast
from pipeline.rehearsal.lines import Draft, Trip


@dataclass(slots=True)
class Tale:
    """Collects the lines of one story. `at` moves forward only: a story is told in order."""

    name: str
    start: datetime
    at: datetime = field(init=False)
    drafts: list[Draft] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.at = self.start

    def begin(self, hours: int, minutes: int) -> None:
        """Go to a time of the day that is later than what was told so far."""
        self.at = self.start + timedelta(hours=hours, minutes=minutes)

    def wait(self, seconds: float) -> datetime:
        """A while later; to the millisecond, as far as any of the wire formats goes."""
        self.at += timedelta(milliseconds=round(seconds * 1000))
        return self.at

    def tell(self, source: str, body: bytes | Mapping[str, Any], *trips: Trip) -> None:
        """A line at the present time of the tale."""
        self.drafts.append(Draft(self.at, cast.SOURCE[source].id, body, self.name, trips))
