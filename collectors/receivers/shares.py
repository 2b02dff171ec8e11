"""How much of the spool each agency's unsettled records take, and since when: the quota of size and of age.

In: what was stored (agency, last sequence, bytes, monotonic time), how far the node is settled. Out: a reason to push
an agency's senders back, or nothing. Pure. It counts from the collector's start: what an earlier process left waiting
is under the limit of the whole spool alone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

_BLOCK: Final = 1 << 20
_BLOCK_SECONDS: Final = 10.0


@dataclass(slots=True)
class _Block:
    """Records stored close together; `last` is the greatest sequence among them."""

    last: int
    since: float
    size: int


class Shares:
    """Limits in bytes and seconds; 0 is no limit."""

    def __init__(self, size: int, age: float) -> None:
        self._size, self._age = size, age
        self._blocks: dict[str, deque[_Block]] = {}
        self._held: dict[str, int] = {}

    def add(self, agency: str, last: int, size: int, now: float) -> None:
        blocks = self._blocks.setdefault(agency, deque())
        self._held[agency] = self._held.get(agency, 0) + size
        newest = blocks[-1] if blocks else None
        if newest and newest.size < _BLOCK and now - newest.since < _BLOCK_SECONDS:
            newest.last, newest.size = max(newest.last, last), newest.size + size
        else:
            blocks.append(_Block(last, now, size))

    def settled(self, upto: int) -> None:
        """All receipts of the node up to a sequence are settled."""
        for agency, blocks in list(self._blocks.items()):
            while blocks and blocks[0].last <= upto:
                self._held[agency] -= blocks.popleft().size
            if not blocks:
                del self._blocks[agency], self._held[agency]

    def refuses(self, agency: str, more: int, now: float) -> str:
        """Why no more of the agency is taken; empty where it is."""
        held, blocks = self._held.get(agency, 0), self._blocks.get(agency)
        if self._size and held + more > self._size and held:
            return f"{held} bytes of {agency} wait, {self._size} may"
        if self._age and blocks and now - blocks[0].since > self._age:
            hours = (now - blocks[0].since) / 3600
            return f"records of {agency} have waited for {hours:.1f} hours"
        return ""

    def held(self) -> dict[str, int]:
        """Bytes that wait, by agency."""
        return dict(self._held)
