"""The turn of writers within a process: in the order of coming, and never lost."""

from __future__ import annotations

import threading
import time

import pytest

from pipeline.model.errors import ServiceAwayError
from pipeline.state.state import State
from pipeline.state.turn import Turn


def queued(turn: Turn, count: int) -> None:
    while len(turn._queue) < count:
        time.sleep(0.001)


def test_threads_write_in_the_order_in_which_they_came() -> None:
    turn, order = Turn(30), list[int]()

    def write(number: int) -> None:
        with turn:
            order.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    with turn:
        for count, one in enumerate(threads, 1):
            one.start()
            queued(turn, count)
    for one in threads:
        one.join(30)
    assert order == list(range(20))


def test_a_writer_that_fails_lets_the_next_one_in() -> None:
    turn = Turn(5)
    with pytest.raises(ZeroDivisionError), turn:
        _ = 1 / 0
    with turn:
        pass


def test_who_waits_too_long_is_told_so_and_holds_up_nobody_behind() -> None:
    turn, came = Turn(0.01), threading.Event()
    with turn:
        with pytest.raises(ServiceAwayError, match="the state does not answer"), turn:
            raise AssertionError("two have the turn")
        turn._patience = 30
        behind = threading.Thread(target=lambda: turn.__enter__() or came.set())  # type: ignore[func-returns-value]
        behind.start()
        queued(turn, 1)
    assert came.wait(30)
    behind.join(30)


def test_writers_of_one_state_hold_no_connection_while_they_wait(state: State) -> None:
    state._turn._patience = 0.01
    with state.begin():
        with pytest.raises(ServiceAwayError), state.begin():
            raise AssertionError("two write at once")
        assert state.engine.pool.checkedout() == 1  # type: ignore[attr-defined]
