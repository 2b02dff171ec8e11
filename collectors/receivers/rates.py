"""How fast a source may send: a bucket per source that fills by so many records a second.

In: how many records came. Out: seconds to wait before more is read of that source; 0 while it keeps within. A
source may send two seconds' worth at once. What came is always kept: a bucket goes into debt, and reading waits.
"""

from __future__ import annotations

from typing import Final

BURST_SECONDS: Final = 2.0


class Rates:
    """`limit` in records a second for each source; 0 for none."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._left: dict[str, tuple[float, float]] = {}  # source → what is left, as of when

    def take(self, source: str, records: int, now: float) -> float:
        """`now` on a clock that only goes forward."""
        if not self.limit:
            return 0.0
        full = self.limit * BURST_SECONDS
        left, at = self._left.get(source, (full, now))
        left = min(full, left + (now - at) * self.limit) - records
        self._left[source] = (left, now)
        return -left / self.limit if left < 0 else 0.0

    def owes(self, source: str, now: float) -> float:
        """Seconds until the source may send again, without taking anything."""
        return self.take(source, 0, now)
