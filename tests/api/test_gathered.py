"""Questions that come together are answered together: each its own answer, none older than its question."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from pipeline.api.gathered import Gathered


def test_who_asks_while_a_round_is_under_way_is_served_in_the_next_with_all_others() -> None:
    rounds: list[list[int]] = []
    begun, go_on = threading.Event(), threading.Event()

    def work(asked: Sequence[int]) -> list[int | Exception]:
        rounds.append(list(asked))
        begun.set()
        assert go_on.wait(20)
        return [ValueError(str(n)) if n == 3 else 10 * n for n in asked]

    async def all_of_them() -> list[int | BaseException]:
        ask = Gathered(work)
        first = asyncio.create_task(ask(1))
        assert await asyncio.to_thread(begun.wait, 20)
        others = [asyncio.create_task(ask(n)) for n in (2, 3, 4)]
        await asyncio.sleep(0)  # they have asked
        go_on.set()
        rest = await asyncio.gather(*others, return_exceptions=True)
        return [await first, *rest, await ask(5)]

    one, two, three, four, five = asyncio.run(all_of_them())
    assert (one, two, four, five) == (10, 20, 40, 50)
    assert repr(three) == "ValueError('3')"
    assert rounds == [[1], [2, 3, 4], [5]]


def test_what_a_round_leaves_over_is_the_beginning_of_the_next() -> None:
    rounds: list[list[int]] = []

    def work(asked: Sequence[int]) -> list[int | Exception]:
        rounds.append(list(asked))
        return [*asked[:2]]

    async def all_of_them() -> list[int]:
        ask = Gathered(work)
        return await asyncio.gather(*map(ask, range(5)))

    assert asyncio.run(all_of_them()) == [0, 1, 2, 3, 4]
    assert [n for asked in rounds for n in asked[:2]] == [0, 1, 2, 3, 4]


def test_a_round_that_breaks_is_everyones_error_and_the_next_goes_on() -> None:
    broken = [True]

    def work(asked: Sequence[int]) -> list[int | Exception]:
        if broken.pop() if broken else False:
            raise OSError("away")
        return [*asked]

    async def both() -> int:
        ask = Gathered(work)
        with pytest.raises(OSError, match="away"):
            await ask(1)
        return await ask(2)

    assert asyncio.run(both()) == 2


def test_one_who_has_left_holds_up_nobody() -> None:
    def work(asked: Sequence[int]) -> list[int | Exception]:
        return [*asked]

    async def one_leaves() -> int:
        ask = Gathered(work)
        gone = asyncio.create_task(ask(1))
        stays = asyncio.create_task(ask(2))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(one_leaves()) == 2
