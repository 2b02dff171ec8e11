"""The lake's own part of search: limits in words, damage that is told, superseded events, merged files."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.event_tables import NOW, event_commit, event_id
from support.states import empty_state

from pipeline.model.detections import Window
from pipeline.model.errors import DamagedError, LimitError
from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.state.tables.lake import Superseded
from pipeline.store import steps
from pipeline.store.base import ALL_TIME, TimeRange
from pipeline.store.lake.search import Limits
from pipeline.store.lake.store import Lake

ALL: dict[str, Any] = {"scope": Scope.everything(), "when": ALL_TIME}
NEXT_HOUR = NOW + timedelta(hours=1)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return empty_state(tmp_path / "state.sqlite")


def lake_of(tmp_path: Path, state: State, limits: Limits = Limits()) -> Lake:  # noqa: B008
    return Lake(tmp_path / "lake", state, limits=limits)


def sequences(lake: Lake, query: str = "") -> list[int]:
    return [d["thapcanh"]["sequence"] for d in lake.search(query, **ALL).documents]


def test_a_search_that_takes_too_long_is_given_up_in_words(tmp_path: Path, state: State) -> None:
    lake = lake_of(tmp_path, state, Limits(seconds=-1))
    lake.append(event_commit([{}], 1), now=NOW)
    for ask in (
        lambda: lake.search("a", **ALL),
        lambda: lake.count("", **ALL),
        lambda: lake.histogram("", step=timedelta(hours=1), **ALL),
        lambda: lake.top("", "user.name", **ALL),
    ):
        with pytest.raises(LimitError, match=r"took too long .*narrow the time range"):
            ask()


def test_a_page_or_a_list_of_values_that_is_too_large_is_refused_in_words(
    tmp_path: Path, state: State
) -> None:
    lake = lake_of(tmp_path, state, Limits(memory=2_000))
    lake.append(
        event_commit([{"user.name": f"u{n}", "event.original": "x" * 999} for n in range(50)], 1),
        now=NOW,
    )
    with pytest.raises(LimitError, match="smaller pages"):
        lake.search("", **ALL)
    with pytest.raises(LimitError, match="too many different values"):
        lake.top("", "user.name", **ALL)
    wide = [{"@timestamp": NOW + timedelta(seconds=n)} for n in range(10_001)]
    lake.append(event_commit(wide, 51), now=NOW)
    with pytest.raises(LimitError, match="longer step"):
        lake.histogram("", step=timedelta(seconds=1), **ALL)


@pytest.mark.parametrize("harm", ["cut", "gone", "flipped"])
def test_a_search_over_a_harmed_file_is_an_error_that_names_it(
    tmp_path: Path, state: State, harm: str
) -> None:
    lake = lake_of(tmp_path, state)
    rows = [{"event.original": f"line {n} {n * 7919}"} for n in range(2_000)]
    lake.append(event_commit(rows, 1), now=NOW)
    path = next((tmp_path / "lake").rglob("*.parquet"))
    raw = bytearray(path.read_bytes())
    if harm == "cut":
        path.write_bytes(raw[:200])
    elif harm == "gone":
        path.unlink()
    else:
        raw[4:-2_000] = bytes(len(raw) - 2_004)
        path.write_bytes(raw)
    with pytest.raises(DamagedError, match=path.name):
        lake.search("line", **ALL)


def test_a_file_that_cannot_hold_the_answer_is_not_opened(tmp_path: Path, state: State) -> None:
    lake = lake_of(tmp_path, state)
    lake.append(event_commit([{"organization.id": "b", "user.name": "lan"}], 1), now=NOW)
    lake.append(event_commit([{}], 2, dataset="other.log"), now=NOW)
    for path in (tmp_path / "lake").rglob("*.parquet"):
        path.unlink()  # who opened one would raise
    assert lake.count("event.dataset:third.log AND line", **ALL) == 0
    assert lake.count("NOT event.dataset:(test.log OR other*)", **ALL) == 0
    assert lake.count("no.such:x", **ALL) == 0
    assert lake.count("organization.id:c", **ALL) == 0
    assert lake.count("", scope=Scope.of("c"), when=ALL_TIME) == 0
    assert lake.count("", scope=Scope.everything(), when=TimeRange(NEXT_HOUR, None)) == 0


def test_superseded_events_are_left_out_of_search_and_counts(tmp_path: Path, state: State) -> None:
    lake = lake_of(tmp_path, state)
    lake.append(event_commit([{"user.name": "lan"}, {"user.name": "lan"}], 1), now=NOW)
    with state.begin() as session:
        session.add(Superseded(event=event_id(1).hex(), by=event_id(2).hex(), at=NOW))
    assert sequences(lake) == [2]
    assert lake.count("", **ALL) == 1
    assert lake.top("", "user.name", **ALL) == [("lan", 1)]
    assert lake.histogram("", step=timedelta(days=1), **ALL)[0][1] == 1


def filled(tmp_path: Path, state: State) -> Lake:
    """Five commits of the hour: two datasets, two agencies, one file whose column is another's leftover."""
    lake = lake_of(tmp_path, state)
    again = frozenset({"test.log"})
    lake.append(
        event_commit([{"organization.id": "b"}, {"user.name": "lan"}], 1, resendable=again), now=NOW
    )
    lake.append(
        event_commit([{"organization.id": "b", "x.left": "1"}], 3, resendable=again), now=NOW
    )
    lake.append(event_commit([{"thapcanh.extra": [("x.left", "2")]}], 4, resendable=again), now=NOW)
    lake.append(event_commit([{}], 5, dataset="other.log"), now=NOW)
    lake.append(event_commit([{"organization.id": "a"}], 6, resendable=again), now=NOW)
    return lake


def scanned(lake: Lake) -> list[int]:
    return [
        n
        for _, table in lake.scan(Window({"n1": (0, 9)}), scope=Scope.everything())
        for n in table.column("thapcanh.sequence").to_pylist()
    ]


def test_small_files_of_a_closed_hour_become_one_and_answers_stay_the_same(
    tmp_path: Path, state: State
) -> None:
    lake = filled(tmp_path, state)
    before = [lake.search(q, **ALL).documents for q in ("", "x.left:>0", "organization.id:b")]
    assert lake.compact(NOW + timedelta(minutes=59)) == 0
    assert lake.compact(NEXT_HOUR) == 3
    assert lake.compact(NEXT_HOUR) == 0
    assert [
        lake.search(q, **ALL).documents for q in ("", "x.left:>0", "organization.id:b")
    ] == before
    assert sorted(scanned(lake)) == [1, 2, 3, 4, 5, 6]
    assert lake.health().figures["files"] == 3
    assert lake.delete_before("b", NEXT_HOUR, now=NOW) == 2
    assert sequences(lake) == [6, 5, 4, 2]


def test_a_merge_takes_a_bounded_number_of_files(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.store.lake import compact as lake_compact

    monkeypatch.setattr(lake_compact, "MAX_FILES", 3)
    lake = lake_of(tmp_path, state)
    for n in range(1, 9):
        lake.append(event_commit([{}], n), now=NOW)
    assert lake.compact(NEXT_HOUR, most=1) == 3
    assert lake.compact(NEXT_HOUR) == 5
    assert sequences(lake) == [8, 7, 6, 5, 4, 3, 2, 1]
    assert lake.health().figures["files"] == 3


def test_ids_of_merged_files_are_known_to_who_had_read_some_of_them(
    tmp_path: Path, state: State
) -> None:
    lake, again = filled(tmp_path, state), frozenset({"test.log"})
    other = lake_of(tmp_path, state)
    other.append(event_commit([{"event.id": event_id(1)}], 1, node="n2", resendable=again), now=NOW)
    lake.append(event_commit([{}], 7, resendable=again), now=NOW)
    lake.compact(NEXT_HOUR)
    resent = [{"event.id": event_id(n)} for n in (1, 3, 4, 7)]
    assert other.append(event_commit(resent, 2, node="n2", resendable=again), now=NOW).known == 4
    fresh = lake_of(tmp_path, state)
    rows = [{"event.id": event_id(n)} for n in (1, 2, 3, 4, 6, 7)]
    assert fresh.append(event_commit(rows, 8, resendable=again), now=NOW).known == 6


@pytest.mark.faults
@pytest.mark.parametrize(
    "point", ["file.written", "file.renamed", "compact.before", "compact.after"]
)
def test_a_merge_that_ends_anywhere_loses_and_doubles_nothing(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    class KilledError(BaseException):
        pass

    def on_step(name: str) -> None:
        if name == point:
            raise KilledError

    lake = filled(tmp_path, state)
    scan = lake.scan(Window({"n1": (0, 9)}), scope=Scope.everything())
    first = next(scan)[1].num_rows
    monkeypatch.setattr(steps, "on_step", on_step)
    with pytest.raises(KilledError):
        lake.compact(NEXT_HOUR)
    monkeypatch.setattr(steps, "on_step", None)
    assert sequences(lake) == [6, 5, 4, 3, 2, 1]
    lake.compact(NEXT_HOUR)
    assert sequences(lake) == [6, 5, 4, 3, 2, 1]
    assert first + sum(table.num_rows for _, table in scan) == 6
    lake.sweep(NEXT_HOUR)
    assert sequences(lake) == [6, 5, 4, 3, 2, 1]
