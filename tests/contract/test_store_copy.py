"""Every store's events can be carried to every other store and back: the same ids, receipts, marks and answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.elasticsearch import empty_store
from support.event_tables import NOW, event_commit, event_id
from support.states import empty_state

from pipeline.model.detections import Window
from pipeline.model.errors import ConflictError, DamagedError, UsageError
from pipeline.model.ids import new_id
from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.state.tables.lake import Hold, LakeFile
from pipeline.state.tables.operation import Disposal
from pipeline.state.tables.register import Agency
from pipeline.store import copying
from pipeline.store.base import ALL_TIME, SearchableStore
from pipeline.store.copying import Copied, Movable, copy, discard, sum_rows
from pipeline.store.elasticsearch.moving import ClusterMover
from pipeline.store.kind import claim
from pipeline.store.lake.moving import LakeMover
from pipeline.store.lake.store import Lake

ALL: dict[str, Any] = {"scope": Scope.everything(), "when": ALL_TIME}
LONG = "x" * 9_000


class Both:
    """A lake and a cluster of one installation."""

    def __init__(self, folder: Path, url: str, state: State) -> None:
        self.state = state
        cluster = empty_store(url, state)
        self.stores: dict[str, SearchableStore] = {
            "lake": Lake(folder / "lake", state), "elasticsearch": cluster
        }  # fmt: skip
        self.movers: dict[str, Movable] = {
            "lake": LakeMover(folder / "lake", state, NOW),
            "elasticsearch": ClusterMover(cluster, state),
        }

    def copy(self, to: str, progress: copying.Progress = lambda done, total: None) -> list[Copied]:
        (source,) = set(self.stores) - {to}
        return copy(self.movers[source], self.movers[to], to, self.state, progress)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = empty_state(tmp_path / "state.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def both(tmp_path: Path, elasticsearch_url: str, state: State) -> Iterator[Both]:
    made = Both(tmp_path, elasticsearch_url, state)
    yield made
    made.stores["elasticsearch"].close()


@pytest.fixture(params=[("lake", "elasticsearch"), ("elasticsearch", "lake")], ids="-".join)
def way(request: pytest.FixtureRequest) -> tuple[str, str]:
    found: tuple[str, str] = request.param
    return found


def fill(store: SearchableStore, state: State) -> None:
    """Two nodes, two datasets, an agency of a drill, a replay, a hold, and what is awkward to keep."""
    with state.begin() as session:
        session.add(Agency(id="d", name_vi="D", name_en="D", drill=True, valid_from=NOW))
        session.add(
            Hold(
                id=new_id(), agency="a", first_time=NOW, last_time=NOW + timedelta(hours=1),
                reason="case", by="t", at=NOW,
            )
        )  # fmt: skip
    rows: list[dict[str, Any]] = [
        {"user.name": "Lan", "source.port": 443, "host.ip": ["::1", "10.0.0.1"]},
        {"process.command_line": LONG, "thapcanh.extra": [("x.left", "1"), ("a=b", "c\\d")]},
        {"organization.id": "d", "event.original": "Trần Đức\x00 …", "own.name": "7"},
        {"user.Name": "an", "tags": ["one"], "event.original_bytes": b"\xff\x00"},
    ]
    rows[3].pop("event.original_bytes")
    store.append(event_commit(rows, 1), now=NOW)
    replay = {"thapcanh.replaces": event_id(1).hex()}
    store.append(event_commit([replay, {}], 5, dataset="other.log"), now=NOW)
    store.append(event_commit([{"organization.id": "b"}] * 3, 1, node="n2"), now=NOW)


def answers(store: SearchableStore) -> dict[str, Any]:
    """What the store says of its events: documents, counts, scans, evidence."""
    window = Window({"n1": (0, 9), "n2": (0, 9)})
    scanned = sum_rows(
        row
        for _, table in store.scan(window, scope=Scope.everything())
        for row in table.to_pylist()
    )
    return {
        "documents": store.search("", **ALL).documents,
        "old": store.get([event_id(1).hex()], scope=Scope.everything()),
        "count": [store.count(q, **ALL) for q in ("", "x.left:1", "duc", "user.name:lan", "port:*")],
        "top": store.top("", "organization.id", **ALL),
        "scanned": scanned,
        "watermark": store.watermark(),
    }  # fmt: skip


def test_there_and_back_every_event_and_every_answer_is_the_same(
    both: Both, state: State, way: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "RANGE", 2)
    old, new = way
    claim(state, old)
    fill(both.stores[old], state)
    before = answers(both.stores[old])
    seen: list[tuple[int, int]] = []
    copied = both.copy(new, lambda done, total: seen.append((done, total)))
    assert [(one.node, one.first, one.last, one.events, one.twice) for one in copied] == [
        ("n1", 1, 6, 6, 0), ("n2", 1, 3, 3, 0),
    ]  # fmt: skip
    assert seen == [(0, 9), (2, 9), (4, 9), (6, 9), (8, 9), (9, 9)]
    assert answers(both.stores[new]) == before
    with pytest.raises(UsageError, match=f"set it back to {new}"):
        claim(state, old)
    assert discard(both.movers[old], old, state) == 9
    # It goes on in the new store: what is held stays, a number follows, and back again all of it is there.
    late = NOW + timedelta(days=400)
    assert both.stores[new].delete_before("a", late, now=late) == 0
    both.stores[new].append(event_commit([{}], 7), now=NOW)
    after = answers(both.stores[new])
    both.copy(old)
    assert answers(both.stores[old]) == after


def test_a_copy_that_is_cut_off_anywhere_goes_on_and_doubles_nothing(
    both: Both, state: State, way: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.store import steps

    class KilledError(BaseException):
        pass

    monkeypatch.setattr(copying, "RANGE", 3)
    old, new = way
    claim(state, old)
    fill(both.stores[old], state)
    before = answers(both.stores[old])
    left = 0
    while True:
        countdown = left

        def on_step(name: str) -> None:
            nonlocal countdown
            countdown -= 1
            if countdown < 0:
                raise KilledError

        monkeypatch.setattr(steps, "on_step", on_step)
        left += 1  # each time one step more is done, beginning where the last one was compared
        try:
            both.copy(new)
        except KilledError:
            continue
        break
    monkeypatch.setattr(steps, "on_step", None)
    assert left > 3
    assert answers(both.stores[new]) == before


def test_only_an_empty_store_is_copied_to_and_only_one_that_is_not_in_use_is_emptied(
    both: Both, state: State, way: tuple[str, str]
) -> None:
    old, new = way
    claim(state, new)
    both.stores[new].append(event_commit([{}], 1), now=NOW)
    with pytest.raises(ConflictError, match=r"holds events \(got 1 events"):
        both.copy(new)
    with pytest.raises(ConflictError, match="are in this store"):
        discard(both.movers[new], new, state)
    assert both.stores[new].count("", **ALL) == 1
    assert discard(both.movers[old], old, state) == 0


def test_where_events_were_deleted_since_a_copy_was_cut_off_it_begins_anew(
    both: Both, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "RANGE", 1)
    claim(state, "lake")
    lake = both.stores["lake"]
    lake.append(event_commit([{"organization.id": "b"}, {}, {}], 1), now=NOW)

    def cut(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        both.copy("elasticsearch", cut)
    late = NOW + timedelta(days=1)
    assert lake.delete_before("b", late, now=late) == 1
    with state.begin() as session:
        session.add(
            Disposal(id=new_id(), agency="b", before=late, reason="age", by="t", at=NOW, events=1)
        )
    both.copy("elasticsearch")
    assert both.stores["elasticsearch"].count("", **ALL) == 2


def test_a_copy_that_differs_is_told_and_the_store_in_use_stays_the_same(
    both: Both, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(state, "lake")
    both.stores["lake"].append(event_commit([{}, {}], 1), now=NOW)
    cluster = both.movers["elasticsearch"]
    really = cluster.put_in

    def lossy(node: str, after: int, upto: int, tables: Any) -> frozenset[int]:
        return really(node, after, upto, [(name, table.slice(1)) for name, table in tables])

    monkeypatch.setattr(cluster, "put_in", lossy)
    with pytest.raises(DamagedError, match=r"differs.*n1 1 to 2.*got 1 events"):
        both.copy("elasticsearch")
    claim(state, "lake")


def test_an_event_that_lies_twice_in_the_lake_under_one_id_is_counted_and_lies_once_in_the_cluster(
    both: Both, state: State
) -> None:
    claim(state, "lake")
    both.stores["lake"].append(event_commit([{}, {"event.id": event_id(1)}, {}], 1), now=NOW)
    (copied,) = both.copy("elasticsearch")
    assert (copied.events, copied.twice) == (2, 1)
    assert both.stores["elasticsearch"].count("", **ALL) == 2


def test_a_large_range_is_taken_in_smaller_ones(
    both: Both, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "BYTES", 1_000)
    claim(state, "lake")
    both.stores["lake"].append(event_commit([{}] * 20, 1), now=NOW)
    seen: list[int] = []
    both.copy("elasticsearch", lambda done, total: seen.append(done))
    assert len(seen) > 3
    assert both.stores["elasticsearch"].count("", **ALL) == 20
    with state.read() as session:
        assert session.scalar(sa.select(sa.func.sum(LakeFile.rows))) == 20
