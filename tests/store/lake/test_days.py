"""A day that is over becomes one file an agency: small agencies share one, and readers see the same before and after."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.event_tables import NOW, event_commit, event_id
from support.states import empty_state

from pipeline.model.detections import Window
from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.state.tables.lake import LakeFile
from pipeline.store import files
from pipeline.store.base import ALL_TIME, TimeRange
from pipeline.store.lake import compact as lake_compact
from pipeline.store.lake import files as lake_files
from pipeline.store.lake.store import Lake

ALL: dict[str, Any] = {"scope": Scope.everything(), "when": ALL_TIME}
TOMORROW = NOW + timedelta(days=1)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return empty_state(tmp_path / "state.sqlite")


@pytest.fixture
def lake(tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Ten commits of two nodes and two datasets: much of agencies a and b, little of c and d."""
    monkeypatch.setattr(lake_compact, "FEW", 5)
    opened = Lake(tmp_path / "lake", state)
    for n in range(5):
        rows = [{"organization.id": one} for one in ("b", "a", "b", "a", "c" if n else "d")]
        opened.append(event_commit(rows, 5 * n + 1, resendable=frozenset({"test.log"})), now=NOW)
        opened.append(event_commit(rows[:2], 2 * n + 1, node="n2", dataset="other.log"), now=NOW)
    return opened


def live(state: State) -> list[tuple[str, int, dict[str, int]]]:
    with state.read() as session:
        rows = session.execute(
            sa.select(LakeFile.dataset, LakeFile.tier, LakeFile.agencies).where(
                LakeFile.state == "live"
            )
        )
        return sorted(((d, t, dict(a)) for d, t, a in rows), key=repr)


def seen(lake: Lake, scope: Scope = Scope.everything()) -> Counter[tuple[str, int]]:  # noqa: B008
    window = Window({"n1": (0, 99), "n2": (0, 99)})
    return Counter(
        (row["thapcanh.node"], row["thapcanh.sequence"])
        for _, table in lake.scan(window, scope=scope)
        for row in table.select(["thapcanh.node", "thapcanh.sequence"]).to_pylist()
    )


def compact(lake: Lake, now: Any = TOMORROW) -> None:
    while lake.compact(now, most=1):
        pass


def test_a_day_becomes_a_file_an_agency_and_small_ones_share_one(lake: Lake, state: State) -> None:
    before, found = seen(lake), lake.search("", limit=100, **ALL).documents
    reader = lake.scan(Window({"n1": (0, 99)}), scope=Scope.everything())
    next(reader)
    assert lake.compact(NOW) == 0
    compact(lake, NOW + timedelta(hours=1))  # the hour first, then the day
    assert [tier for _, tier, _ in live(state)] == [1, 1]
    compact(lake)
    assert live(state) == [
        ("other.log", 2, {"a": 5}), ("other.log", 2, {"b": 5}),
        ("test.log", 2, {"a": 10}), ("test.log", 2, {"b": 10}), ("test.log", 2, {"c": 4, "d": 1}),
    ]  # fmt: skip
    assert (seen(lake), lake.search("", limit=100, **ALL).documents) == (before, found)
    assert sum(table.num_rows for _, table in reader) == 20  # who had begun reads on
    assert lake.compact(TOMORROW) == 0
    lake.sweep(TOMORROW + timedelta(hours=2))
    assert seen(lake) == before


def test_what_comes_late_is_joined_and_an_agency_that_grew_gets_its_own(
    lake: Lake, state: State
) -> None:
    compact(lake)
    lake.append(event_commit([{"organization.id": "c"}, {"organization.id": "a"}], 26), now=NOW)
    lake.append(event_commit([{"organization.id": "a", "event.id": event_id(1)}], 28), now=NOW)
    compact(lake)
    whole = [one for one in live(state) if one[0] == "test.log"]
    assert Counter(str(agencies) for _, _, agencies in whole) == Counter(
        ["{'a': 10}", "{'b': 10}", "{'a': 2, 'c': 1}", "{'c': 4, 'd': 1}"]
    )  # not resendable, so apart from those that are
    again = frozenset({"test.log"})
    late = [{"organization.id": "c"}]
    lake.append(event_commit(late, 29, resendable=again), now=NOW)
    compact(lake)
    assert ("test.log", 2, {"c": 5}) in live(state)
    assert ("test.log", 2, {"d": 1}) in live(state)
    resent = [{"event.id": event_id(n), "organization.id": "a"} for n in (2, 24)]
    assert lake.append(event_commit(resent, 30, resendable=again), now=NOW).known == 2


def test_columns_of_another_type_stay_in_files_of_their_own(tmp_path: Path, state: State) -> None:
    lake = Lake(tmp_path / "lake", state)
    lake.append(event_commit([{"x.left": "1"}], 1), now=NOW)
    lake.append(event_commit([{"thapcanh.extra": [("x.left", "2")]}], 2), now=NOW)
    compact(lake)
    assert [tier for _, tier, _ in live(state)] == [2, 2]
    assert lake.count("x.left:*", **ALL) == 2


def test_an_agency_s_search_and_scan_open_its_own_files_alone(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    compact(lake)
    opened: list[str] = []
    really = lake_files.OpenFile.__init__

    def noted(self: Any, root: Path, file: Any, *more: Any) -> None:
        opened.append(file.dataset)
        really(self, root, file, *more)

    monkeypatch.setattr(lake_files.OpenFile, "__init__", noted)
    assert lake.count("", scope=Scope.of("a"), when=ALL_TIME) == 15
    assert sorted(opened) == ["other.log", "test.log"]
    opened.clear()
    assert lake.count("event.dataset:other.log", scope=Scope.of("a", "c"), when=ALL_TIME) == 5
    assert opened == ["other.log"]
    opened.clear()
    nothing = TimeRange(TOMORROW, None)
    assert lake.count("", scope=Scope.everything(), when=nothing) == 0
    assert opened == []


def test_a_window_reads_only_the_row_groups_that_hold_it(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ROW_GROUP", 10)
    lake = Lake(tmp_path / "lake", state)
    lake.append(event_commit([{}] * 100, 1), now=NOW)
    read: list[int] = []
    import pyarrow.parquet as pq

    really = pq.ParquetFile.read_row_groups

    def noted(self: Any, groups: list[int], *more: Any, **other: Any) -> Any:
        read.extend(groups)
        return really(self, groups, *more, **other)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", noted)
    window = Window({"n1": (35, 52)})
    tables = lake.scan(window, scope=Scope.everything())
    assert [n for _, t in tables for n in t.column("thapcanh.sequence").to_pylist()] == list(
        range(36, 53)
    )
    assert read == [3, 4, 5]


def test_retention_takes_an_agency_s_file_whole(lake: Lake, state: State) -> None:
    compact(lake)
    written: list[str] = []
    assert lake.delete_before("a", TOMORROW, now=TOMORROW) == 15
    assert [agencies for _, _, agencies in live(state) if "a" in agencies] == written


def test_an_event_is_got_without_reading_what_cannot_hold_it(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ROW_GROUP", 10)
    lake = Lake(tmp_path / "lake", state)
    lake.append(event_commit([{}] * 50, 1), now=NOW)
    lake.append(event_commit([{}] * 50, 51), now=NOW)
    read: list[int] = []
    import pyarrow.parquet as pq

    really = pq.ParquetFile.read_row_group

    def noted(self: Any, group: int, *more: Any, **other: Any) -> Any:
        read.append(group)
        return really(self, group, *more, **other)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noted)
    (got,) = lake.get([event_id(77).hex()], scope=Scope.everything())
    assert got["thapcanh"]["sequence"] == 77
    assert len(read) <= 2  # of ten: its own, and perhaps one that the filter takes for it
    many = [event_id(n).hex() for n in range(1, 101, 9)]
    assert [one["event"]["id"] for one in lake.get(many, scope=Scope.everything())] == many
