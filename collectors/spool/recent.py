"""Requests of the last minutes: a resend is answered as before, and not stored twice.

In: request hashes with their receipts. Out: the receipt of an earlier one, until it is older than
the window. Ages run on the monotonic clock, so that a jump of the wall clock forgets nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice

from collectors.spool import layout


class RecentRequests:
    """At most `capacity` requests, none older than `window` seconds."""

    def __init__(self, window: float, capacity: int = 1_000_000) -> None:
        self._window, self._capacity = window, capacity
        self._seen: OrderedDict[bytes, tuple[float, int, int]] = OrderedDict()

    def recover(self, requests: Iterable[layout.Request], now: int, monotonic: float) -> None:
        """Take what the spool holds; `now` in micros. One from the future counts as new."""
        for request in sorted(requests, key=lambda r: r.received):
            age = max(0.0, (now - request.received) / 1e6)
            if age <= self._window:
                self._seen[request.request] = (monotonic - age, request.first, request.count)

    def add(self, request: bytes, first: int, count: int, monotonic: float) -> None:
        self._seen[request] = (monotonic, first, count)
        self._seen.move_to_end(request)
        self._forget(monotonic)

    def get(self, request: bytes, monotonic: float) -> tuple[int, int] | None:
        """The first sequence and the count of the earlier one."""
        entry = self._seen.get(request)
        if entry is None or monotonic - entry[0] > self._window:
            return None
        return entry[1], entry[2]

    def newest(self, count: int) -> list[tuple[bytes, int, int]]:
        """The newest requests, the last one first, with their first sequence and count."""
        found = islice(reversed(self._seen.items()), count)
        return [(request, first, records) for request, (_, first, records) in found]

    def _forget(self, monotonic: float) -> None:
        while self._seen:
            request, (at, _, _) = next(iter(self._seen.items()))
            if len(self._seen) <= self._capacity and monotonic - at <= self._window:
                return
            del self._seen[request]
