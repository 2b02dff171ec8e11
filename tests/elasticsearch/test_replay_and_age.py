"""An event of a replay takes the old one's place; a month that is past goes as a whole index."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support.elasticsearch import empty_store
from support.event_tables import NOW, event_commit, event_id

from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.store.base import ALL_TIME

ALL: dict[str, Any] = {"scope": Scope.everything(), "when": ALL_TIME}


def test_a_replayed_event_hides_the_old_one_which_stays_as_evidence(
    tmp_path: Path, elasticsearch_url: str
) -> None:
    state = State.at(tmp_path / "state.sqlite")
    state.create_tables()
    store = empty_store(elasticsearch_url, state)
    old, new = event_id(1).hex(), event_id(2).hex()
    store.append(event_commit([{}], 1), now=NOW)
    store.append(event_commit([{"thapcanh.replaces": old}], 2), now=NOW)
    page = store.search("", **ALL)
    assert [one["event"]["id"] for one in page.documents] == [new]
    (kept,) = store.get([old], scope=Scope.everything())
    assert kept["thapcanh"]["superseded_by"] == new
    store.close()
    state.close()


def test_a_month_that_is_past_goes_as_a_whole_index(tmp_path: Path, elasticsearch_url: str) -> None:
    state = State.at(tmp_path / "state.sqlite")
    state.create_tables()
    store = empty_store(elasticsearch_url, state)
    long_ago = datetime(2026, 8, 3, tzinfo=UTC)
    store.append(event_commit([{"event.created": long_ago}] * 3, 1), now=NOW)
    store.append(event_commit([{}], 4), now=NOW)
    assert store.delete_before("a", datetime(2026, 9, 1, tzinfo=UTC), now=NOW) == 3
    left = list(store.client.indices.get(index="logs-thapcanh.*", features="settings").body)
    assert left == ["logs-thapcanh.test-kept-2026.11"]
    assert store.count("", **ALL) == 1
    store.close()
    state.close()
