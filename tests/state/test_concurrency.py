"""Many at once, on both databases: one wins, the others are told, nothing is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from support.detecting import MemoryStore, PlainEvaluator, event
from support.people import analyst

from pipeline.detect.running.runs import Limits, run_once
from pipeline.model.clock import EPOCH
from pipeline.model.errors import ConflictError
from pipeline.state.alarms import open_alarms, raise_alarm
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingRow
from pipeline.state.tables.tickets import Ticket, TicketHistory
from pipeline.tickets import life
from pipeline.tickets.deeds import Request
from pipeline.tickets.grouping import tickets_once

NOW = EPOCH + timedelta(days=1)


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What each of `count` threads that start together returned or raised."""
    start, answers = threading.Barrier(count), [None] * count

    def run(number: int) -> None:
        start.wait()
        try:
            answers[number] = work(number)
        except Exception as error:  # noqa: BLE001 - the answer is looked at
            answers[number] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return answers


def test_of_many_who_claim_a_ticket_at_once_one_has_it(state: State) -> None:
    run_once(state, MemoryStore([event(1)]), PlainEvaluator(), holder="w", clock=lambda: NOW)  # type: ignore[arg-type]
    tickets_once(state, now=NOW)

    def claim(number: int) -> str:
        actor = analyst(f"a{number}")
        life.claim(state, Request(actor=actor, ticket="1", revision=1), now=NOW)
        return actor.name

    answers = at_once(8, claim)
    with state.read() as session:
        owner = session.scalar(sa.select(Ticket.owner))
        lines = session.scalar(sa.select(sa.func.count()).select_from(TicketHistory))
    assert [one for one in answers if isinstance(one, str)] == [owner]
    assert sum(isinstance(one, ConflictError) for one in answers) == 7
    assert lines == 2  # opened, claimed


@pytest.mark.parametrize("workers", [2, 5])
def test_workers_that_share_a_schedule_evaluate_each_window_once(
    state: State, workers: int
) -> None:
    store = MemoryStore([event(n, host=f"pc-{n % 7}") for n in range(1, 121)])

    def work(number: int) -> int:
        done, idle = 0, 0
        while idle < 20:
            try:
                result = run_once(
                    state,
                    store,
                    PlainEvaluator(),
                    holder=f"w{number}",
                    limits=Limits(window=10),  # type: ignore[arg-type]
                )
            except ConflictError:
                result = None
            done, idle = (done + 1, 0) if result else (done, idle + 1)
        return done

    answers = at_once(workers, work)
    with state.read() as session:
        counts = sorted(session.scalars(sa.select(FindingRow.count)))
    assert all(isinstance(one, int) for one in answers), answers
    assert (sum(answers), sum(counts), len(counts)) == (12, 120, 7)


def test_an_alarm_that_many_raise_is_open_once(state: State) -> None:
    at_once(6, lambda n: raise_alarm(state, "k", f"from {n}", now=NOW))
    assert [one.key for one in open_alarms(state)] == ["k"]
