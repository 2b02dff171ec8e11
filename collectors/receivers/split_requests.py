"""Requests by HTTP that were stored right before the collector was killed, and come again in pieces.

rsyslog's omelasticsearch sends a batch that failed again document by document; other senders cut it anew. In: at start,
what the last requests brought, as hashes of their records; then each request that is not known as a whole. Out: whether
it is the next piece of such a request: stored already, so to be answered and counted as `repeated`. A piece follows the
one before without a gap, from the request's first record on, from the same source and address, within ten minutes of the
start. So nothing is taken for a resend for what it says alone, save a new record that says what the first of an
unanswered request did. Pure: time is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.model.records import RawRecord

WINDOW: Final = 600.0


@dataclass(slots=True)
class _Left:
    """What has not come again yet of a request."""

    request: bytes
    sender: tuple[str, str]
    hashes: list[int]


class SplitRequests:
    """`last`: requests with their records. `now` is on the monotonic clock."""

    def __init__(self, last: Iterable[tuple[bytes, Sequence[RawRecord]]], now: float) -> None:
        self._until = now + WINDOW
        self._pieces: set[bytes] = set()
        self._left = [
            _Left(
                request, (records[0].source, records[0].peer), [hash(one.body) for one in records]
            )
            for request, records in last
            if len(records) > 1
        ]

    def again(
        self, request: bytes, source: str, peer: str, bodies: Sequence[bytes], now: float
    ) -> bool:
        """Whether a request is the next piece of one that came before the start, or such a piece once more."""
        if not self._left and not self._pieces:
            return False
        if now > self._until:
            self._left, self._pieces = [], set()
            return False
        if request in self._pieces:
            return True
        for one in self._left:
            if one.sender != (source, peer) or one.hashes[0] != hash(bodies[0]):
                continue
            if one.hashes[: len(bodies)] == [hash(body) for body in bodies]:
                del one.hashes[: len(bodies)]
                self._left = [left for left in self._left if left.hashes]
                self._pieces.add(request)
                return True
        return False

    def whole(self, request: bytes) -> None:
        """It came again as it was."""
        if self._left:
            self._left = [one for one in self._left if one.request != request]
