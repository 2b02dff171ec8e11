"""Texts that wait in memory alone: secrets that were just given out, for who asks again because the answer got lost
on its way; a file whose preview is looked at.

In: a name and a text. Out: the text, for ten minutes. Bounded: past `most` the oldest goes. Nothing is written
anywhere, and a restart forgets all.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

KEPT: Final = timedelta(minutes=10)
MOST: Final = 1_000


class Fresh:
    """One per process; threads may share it."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._held: OrderedDict[str, tuple[datetime, str]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, name: str, text: str, *, now: datetime) -> None:
        with self._lock:
            self._forget(now)
            self._held[name] = (now, text)
            while len(self._held) > self._most:
                self._held.popitem(last=False)

    def get(self, name: str, *, now: datetime) -> str | None:
        with self._lock:
            self._forget(now)
            found = self._held.get(name)
        return found[1] if found else None

    def _forget(self, now: datetime) -> None:
        while self._held and now - next(iter(self._held.values()))[0] >= KEPT:
            self._held.popitem(last=False)
