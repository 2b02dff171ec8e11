"""An event of a replay takes the old one's place; a month that is past goes as a whole index."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from support.elasticsearch import empty_store
from support.event_tables import NOW, event_commit, event_id
from support.states import empty_state

from pipeline.model.scope import Scope
from pipeline.state.tables.lake import Hold
from pipeline.store.base import ALL_TIME, KeptWhole

ALL: dict[str, Any] = {"scope": Scope.everything(), "when": ALL_TIME}


def test_a_replayed_event_hides_the_old_one_which_stays_as_evidence(
    tmp_path: Path, elasticsearch_url: str
) -> None:
    state = empty_state(tmp_path / "state.sqlite")
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
    state = empty_state(tmp_path / "state.sqlite")
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


def test_an_index_with_held_events_is_kept_whole_and_named_until_the_hold_is_released(
    tmp_path: Path, elasticsearch_url: str
) -> None:
    state = empty_state(tmp_path / "state.sqlite")
    store = empty_store(elasticsearch_url, state)
    long_ago = datetime(2026, 8, 3, tzinfo=UTC)
    old = {"event.created": long_ago, "@timestamp": long_ago}
    store.append(event_commit([old, old, {**old, "organization.id": "b"}], 1), now=NOW)
    with state.begin() as session:
        session.add(
            Hold(
                id="h", agency="b", first_time=long_ago, last_time=long_ago, reason="case", by="t", at=NOW
            )
        )  # fmt: skip
    late = datetime(2026, 9, 1, tzinfo=UTC)
    assert [store.delete_before(one, late, now=NOW) for one in ("a", "b")] == [0, 0]
    assert store.kept_whole(now=NOW) == [KeptWhole("logs-thapcanh.test-kept-2026.08", 3, 1)]
    with state.begin() as session:
        session.execute(sa.update(Hold).values(released=NOW))
    assert store.kept_whole(now=NOW) == []
    assert [store.delete_before(one, late, now=NOW) for one in ("a", "b")] == [2, 1]
    assert store.count("", **ALL) == 0
    store.close()
    state.close()
