"""Settlement rows: one an hour and node, whose counts add up; no two processes settle the same receipts."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from pipeline.model.errors import ConflictError
from pipeline.model.records import Settled
from pipeline.state.state import State
from pipeline.state.tables.intake import Settlement
from pipeline.store import settlement
from pipeline.store.base import Commit

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def settle(
    state: State, node: str, first: int, last: int, at: datetime, *, dropped: int = 0
) -> None:
    commit = Commit(node, first, last, {}, dropped=dropped)
    settled = Settled(node, first, last, stored=last - first + 1 - dropped, dropped=dropped)
    with state.begin() as session:
        settlement.begin(session, commit, at)
        settlement.settle(session, commit, settled, at)


def rows(state: State) -> list[tuple[str, int, int, int, int, datetime]]:
    with state.read() as session:
        found = session.scalars(sa.select(Settlement).order_by(Settlement.node, Settlement.first))
        return [(r.node, r.first, r.last, r.stored, r.dropped, r.at) for r in found]


def test_commits_of_one_hour_and_node_are_one_row_whose_counts_add_up(state: State) -> None:
    minute = timedelta(minutes=1)
    settle(state, "a", 1, 10, NOON, dropped=3)
    settle(state, "b", 1, 1, NOON + minute)
    settle(state, "a", 11, 12, NOON + 59 * minute, dropped=1)
    settle(state, "a", 13, 13, NOON + 60 * minute)
    settle(state, "a", 14, 20, NOON + 61 * minute)
    assert rows(state) == [
        ("a", 1, 12, 8, 4, NOON + 59 * minute),
        ("a", 13, 20, 8, 0, NOON + 61 * minute),
        ("b", 1, 1, 1, 0, NOON + minute),
    ]
    assert settlement.watermark(state) == {"a": 20, "b": 1}


@pytest.mark.parametrize("later", [timedelta(minutes=1), timedelta(hours=1)])
def test_of_two_processes_that_settle_the_same_receipts_one_is_refused(
    state: State, later: timedelta
) -> None:
    """Whether the first extends the row or begins another, and the second would do otherwise."""
    settle(state, "a", 1, 5, NOON)
    commit, settled = Commit("a", 6, 9, {}), Settled("a", 6, 9, stored=4)
    refused: list[str] = []

    def second() -> None:
        try:
            settle(state, "a", 6, 7, NOON + timedelta(minutes=2))
        except ConflictError as error:
            refused.append(str(error))

    with state.begin() as session:
        settlement.begin(session, commit, NOON)
        other = threading.Thread(target=second)
        other.start()
        other.join(0.2)  # it waits for us, or has not begun: either way it must be refused
        settlement.settle(session, commit, settled, NOON + later)
    other.join()
    assert len(refused) == 1
    assert settlement.watermark(state) == {"a": 9}
    assert sum(stored for _, _, _, stored, _, _ in rows(state)) == 9
