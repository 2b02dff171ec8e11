"""What many ask at once, answered in rounds: who asks while a round is under way is served in the next, with all others.

In: questions of requests under way. Out: to each its answer, or its error. One round costs one thread and one
transaction, however many are in it. Invariant: a question is answered by a round that began after it was asked, so that
no answer is older than its question; a caller who has left holds up nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar
from weakref import WeakKeyDictionary

from starlette.concurrency import run_in_threadpool

MOST: Final = 500
A = TypeVar("A")
R = TypeVar("R")
_Waiting = deque[tuple[A, "asyncio.Future[R]"]]


class Gathered(Generic[A, R]):
    """`work` answers the first of the questions that it is given, at least one: as many as it returns answers."""

    def __init__(self, work: Callable[[Sequence[A]], Sequence[R | Exception]]) -> None:
        self._work = work
        self._waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, _Waiting[A, R]] = (
            WeakKeyDictionary()
        )
        self._rounds = set[asyncio.Task[None]]()

    async def __call__(self, asked: A) -> R:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()
        waiting = self._waiting.get(loop)
        if waiting is not None:  # a round is under way
            waiting.append((asked, answer))
        else:
            waiting = self._waiting[loop] = deque([(asked, answer)])
            rounds = loop.create_task(self._serve(loop, waiting))
            self._rounds.add(rounds)
            rounds.add_done_callback(self._rounds.discard)
        return await answer

    async def _serve(self, loop: asyncio.AbstractEventLoop, waiting: _Waiting[A, R]) -> None:
        while waiting:
            taken = [waiting.popleft() for _ in range(min(MOST, len(waiting)))]
            found: Sequence[R | Exception]
            try:
                found = await run_in_threadpool(self._work, [asked for asked, _ in taken])
            except Exception as error:  # noqa: BLE001 - it is handed to everyone who waits
                found = [error] * len(taken)
            waiting.extendleft(reversed(taken[len(found) :]))
            for (_, answer), one in zip(taken, found, strict=False):
                if answer.done():
                    continue
                if isinstance(one, Exception):
                    answer.set_exception(one)
                else:
                    answer.set_result(one)
        del self._waiting[loop]
