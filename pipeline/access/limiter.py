"""A limit on tries by key (an address, an actor), in memory: the second fence before the lock of `people.py`.

In: a key and `now`. Out: whether one more try is let through. Bounded: what is old is forgotten,
and past `MOST` keys the one tried longest ago is.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from datetime import datetime, timedelta
from typing import Final

MOST: Final = 10_000


class Limiter:
    """At most `tries` within `span` for each key. One per process; threads may share it."""

    def __init__(self, tries: int, span: timedelta) -> None:
        self.tries, self.span = tries, span
        self._seen: OrderedDict[str, deque[datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def allow(self, key: str, *, now: datetime) -> bool:
        with self._lock:
            times = self._seen.setdefault(key, deque())
            self._seen.move_to_end(key)
            while times and now - times[0] >= self.span:
                times.popleft()
            if len(times) >= self.tries:
                return False
            times.append(now)
            while len(self._seen) > MOST:
                self._seen.popitem(last=False)
            return True
