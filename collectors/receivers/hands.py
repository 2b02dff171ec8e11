"""How much of each source is in memory, of one kind: received by TCP or RELP and not in the spool yet (of RELP also what
is not known yet to be new); records that are not whole yet; bodies by HTTP.

In: bytes taken in and given back. Out: whether a source has its share, and the word to go on reading when it has room
again. What all sources hold together is bounded, however often they connect, send and hang up while the spool is full
or slow: each may hold an equal part of `total`, counted among those that hold anything, and is not read beyond it (or
refused, or closed, as its kind allows). So one that is pushed back takes no room from another.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Final

TOTAL: Final = 64 << 20
_LEAST: Final = 1 << 20
_ONE_READS: Final = 256 << 10


class Hands:
    def __init__(self, total: int = TOTAL, *, least: int = 0) -> None:
        """A source may always hold `least`, if that is more than a megabyte."""
        self._total, self._least = total, least
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[Callable[[], None]]] = {}

    def take(self, source: str, size: int) -> None:
        self._held[source] += size

    def room(self, source: str) -> int:
        """Bytes that the source may still take in; none if it is 0 or less."""
        others = len(self._held) - (source in self._held)
        return max(_LEAST, self._least, self._total // (others + 1)) - self._held.get(source, 0)

    def wait(self, source: str, go_on: Callable[[], None]) -> None:
        """`go_on` is called, once, when the source has room."""
        self._waiting.setdefault(source, deque()).append(go_on)

    def give_back(self, source: str, size: int) -> None:
        """They are stored or dropped."""
        self._held[source] -= size
        if self._held[source] <= 0:
            del self._held[source]
        self._call(source)

    def look(self) -> None:
        """Every second: one that was called and had nothing to say gives nothing back, and others wait behind it."""
        for source in list(self._waiting):
            self._call(source)

    def _call(self, source: str) -> None:
        waiting = self._waiting.get(source)
        room = self.room(source)
        while waiting and room > 0:  # not all at once: each reads before it is counted
            waiting.popleft()()
            room -= _ONE_READS
        if waiting is not None and not waiting:
            del self._waiting[source]
