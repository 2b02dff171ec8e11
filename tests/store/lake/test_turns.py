"""A merge goes on turn by turn: between them receipts are settled, files deleted, the process ends; nothing is lost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.event_tables import NOW, event_commit
from support.states import empty_state

from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.state.tables.lake import LakeFile
from pipeline.store.base import ALL_TIME
from pipeline.store.lake import compact as lake_compact
from pipeline.store.lake.store import Lake

ALL: dict[str, Any] = {"scope": Scope.everything(), "when": ALL_TIME}
TOMORROW = NOW + timedelta(days=1)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return empty_state(tmp_path / "state.sqlite")


@pytest.fixture
def lake(tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Six commits of three rows each of two agencies, and turns of four rows."""
    monkeypatch.setattr(lake_compact, "FEW", 3)
    monkeypatch.setattr(lake_compact, "TURN_ROWS", 4)
    opened = Lake(tmp_path / "lake", state)
    for n in range(6):
        rows = [{"organization.id": one} for one in ("b", "a", "b")]
        opened.append(event_commit(rows, 3 * n + 1), now=NOW)
    return opened


def rows_by_file(state: State) -> list[dict[str, int]]:
    with state.read() as session:
        live = sa.select(LakeFile.agencies).where(LakeFile.state == "live")
        return sorted(map(dict, session.scalars(live)), key=repr)  # type: ignore[arg-type]


def sequences(lake: Lake) -> list[int]:
    return [d["thapcanh"]["sequence"] for d in lake.search("", **ALL).documents]


def test_a_merge_takes_many_turns_and_stands_in_the_last_of_them(lake: Lake, state: State) -> None:
    turns = []
    while went := lake.compact(TOMORROW, most=1):
        turns.append(went)
        assert sequences(lake) == list(range(18, 0, -1))
    assert (len(turns) > 5, set(turns[:-1]), turns[-1]) == (True, {1}, 6)
    assert rows_by_file(state) == [{"a": 6}, {"b": 12}]


def test_commits_and_deletions_between_the_turns_are_kept(lake: Lake, state: State) -> None:
    assert lake.compact(TOMORROW, most=1) == 1
    lake.append(event_commit([{"organization.id": "b"}], 19), now=NOW)
    assert lake.compact(TOMORROW, most=1) == 1
    assert lake.delete_before("a", TOMORROW, now=TOMORROW) == 6
    while lake.compact(TOMORROW, most=1):
        pass
    assert len(rows_by_file(state)) == 7  # what it was about went meanwhile: given up
    while lake.compact(TOMORROW, most=1):
        pass
    assert rows_by_file(state) == [{"b": 13}]
    assert sequences(lake) == sorted((n for n in range(1, 20) if n % 3 != 2), reverse=True)


def test_a_merge_that_lasts_too_long_begins_anew_and_its_files_go(
    lake: Lake, state: State, tmp_path: Path
) -> None:
    while len(list((tmp_path / "lake").rglob("*.parquet"))) == 6:
        assert lake.compact(TOMORROW, most=1) == 1
    later = TOMORROW + timedelta(hours=2)
    assert lake.sweep(later) == 1  # a finished part, which no manifest row names
    while lake.compact(later, most=1):
        pass
    assert sequences(lake) == list(range(18, 0, -1))
    assert rows_by_file(state) == [{"a": 6}, {"b": 12}]


def test_who_closes_the_lake_in_a_merge_leaves_the_old_files_standing(lake: Lake) -> None:
    assert lake.compact(TOMORROW, most=3) == 1
    lake.close()
    assert sequences(lake) == list(range(18, 0, -1))
    while lake.compact(TOMORROW, most=1):
        pass
    assert sequences(lake) == list(range(18, 0, -1))


def test_a_harmed_file_keeps_no_other_files_from_their_merge(
    lake: Lake, state: State, tmp_path: Path
) -> None:
    for n in range(2):
        lake.append(event_commit([{}], 19 + n, dataset="other.log"), now=NOW)
    next((tmp_path / "lake").rglob("test.log/*.parquet")).write_bytes(b"PAR1")
    while lake.compact(TOMORROW, most=1):
        pass
    with state.read() as session:
        tiers = sa.select(LakeFile.dataset, LakeFile.tier).where(LakeFile.state == "live")
        found = sorted(map(tuple, session.execute(tiers)))
    assert found == [("other.log", 2), *[("test.log", 0)] * 6]
