"""Which frames of a RELP session can be answered: in their order, each when its record is on disk.

In: the numbers of frames that were taken, those of each record that an assembler made of several, how many records
were stored. Out: the numbers to answer now. Invariant: no number comes out before one that was taken earlier.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class Answers:
    """`assembled`: a record may be of several frames, and records end in another order than their frames came in."""

    def __init__(self, *, assembled: bool) -> None:
        self._assembled = assembled
        self._waiting: deque[int] = deque()
        self._records: deque[list[int]] = deque()  # the numbers of each assembled record in hand
        self._done: set[int] = set()  # stored, but an earlier one is held in the assembler

    def __len__(self) -> int:
        """Frames that are not answered."""
        return len(self._waiting)

    def take(self, numbers: Iterable[int]) -> None:
        self._waiting.extend(numbers)

    def record(self, numbers: list[int]) -> None:
        """The frames of the next record that will be stored."""
        self._records.append(numbers)

    def known(self, number: int) -> None:
        """A frame whose line is on disk already."""
        self._done.add(number)

    def stored(self, records: int) -> list[int]:
        """So many more records are on disk: what can be answered."""
        if not self._assembled:
            return [self._waiting.popleft() for _ in range(records)]
        for _ in range(records):
            self._done.update(self._records.popleft())
        numbers = []
        while self._waiting and self._waiting[0] in self._done:
            numbers.append(self._waiting.popleft())
        self._done.difference_update(numbers)
        return numbers
