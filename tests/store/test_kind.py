"""The kind of store is changed freely before the first event, and never silently after it."""

from __future__ import annotations

import pytest
from support.event_tables import NOW

from pipeline.model.errors import UsageError
from pipeline.model.records import Settled
from pipeline.state.state import State
from pipeline.store import settlement
from pipeline.store.base import Commit
from pipeline.store.kind import claim


def settle(state: State, stored: int) -> None:
    commit = Commit("n1", 1, 2, {})
    with state.begin() as session:
        settlement.begin(session, commit, NOW)
        settled = Settled("n1", 1, 2, stored=stored, dropped=2 - stored)
        settlement.settle(session, commit, settled, NOW)


def test_before_the_first_event_the_kind_may_change(state: State) -> None:
    for kind in ("lake", "elasticsearch", "lake"):
        claim(state, kind)
    settle(state, 0)  # receipts that became no event
    claim(state, "elasticsearch")


@pytest.mark.parametrize(("kind", "other"), [("lake", "elasticsearch"), ("elasticsearch", "lake")])
def test_after_it_another_kind_is_refused_and_the_first_still_taken(
    state: State, kind: str, other: str
) -> None:
    claim(state, kind)
    settle(state, 2)
    with pytest.raises(UsageError, match=f"set it back to {kind}"):
        claim(state, other)
    claim(state, kind)
