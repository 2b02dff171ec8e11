"""Whose turn it is to write, among the threads of one process: first come, first served.

In: threads that want to write. Out: one of them at a time, in the order of their coming. A database lets waiters try
again after a sleep, and whoever wakes first has it: two hundred claims at once would wait for the unlucky. Invariant:
who leaves, by whatever exception, lets the next one in.
"""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType

from pipeline.model.errors import ServiceAwayError


class Turn:
    """A lock that keeps its queue's order. ServiceAwayError when the wait is too long."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._inner = threading.Lock()
        self._taken = False
        self._queue: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._inner:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._queue.append(mine)
        came = False
        try:
            came = mine.acquire(timeout=self._patience)
        finally:
            if not came:
                self._leave_queue(mine)
        if not came:
            raise ServiceAwayError(
                "the state does not answer",
                got="other threads of this process keep writing",
                remedy="thapcanh doctor says more",
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:  # fmt: skip
        self._next()

    def _leave_queue(self, mine: threading.Lock) -> None:
        with self._inner:
            waiting = mine in self._queue
            if waiting:
                self._queue.remove(mine)
        if not waiting:  # the turn came while we were leaving
            self._next()

    def _next(self) -> None:
        with self._inner:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._taken = False
