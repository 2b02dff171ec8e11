"""Deletion from the lake: killed anywhere, in the middle of somebody's reading, with a hold that comes late."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.event_tables import NOW, event_commit
from support.states import empty_state

from pipeline.model.detections import Window
from pipeline.model.ids import new_id
from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.state.tables.lake import Hold, LakeFile
from pipeline.store import steps
from pipeline.store.base import ALL_TIME
from pipeline.store.lake.store import Lake

ALL = Scope.everything()
LATER = NOW + timedelta(hours=2)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return empty_state(tmp_path / "state.sqlite")


@pytest.fixture
def lake(tmp_path: Path, state: State) -> Lake:
    """Two files of two agencies, one of the first alone."""
    made = Lake(tmp_path / "lake", state)
    both = [{"organization.id": name} for name in ("a", "b", "a")]
    made.append(event_commit(both, 1), now=NOW)
    made.append(event_commit(both, 4), now=NOW)
    made.append(event_commit([{}, {}], 7), now=NOW)
    return made


def sequences(lake: Lake) -> list[int]:
    page = lake.search("", scope=ALL, when=ALL_TIME)
    return sorted(one["thapcanh"]["sequence"] for one in page.documents)


KILLED = """
    import os, signal, sys
    from datetime import timedelta
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from support.event_tables import NOW
    from pipeline.state.state import State
    from pipeline.store import steps
    from pipeline.store.lake.store import Lake

    passed = 0
    def die(name):
        global passed
        if name == {point!r}:
            passed += 1
            if passed == {nth}:
                os.kill(os.getpid(), signal.SIGKILL)
    steps.on_step = die
    lake = Lake(Path({home!r}) / "lake", State.at(Path({home!r}) / "state.sqlite"))
    lake.delete_before("a", NOW + timedelta(days=1), now=NOW)
    lake.sweep(NOW + timedelta(hours=2))
"""


@pytest.mark.faults
@pytest.mark.parametrize(
    ("point", "nth"),
    [(p, n) for p in ("file.written", "file.renamed") for n in (1, 2)]
    + [(p, n) for p in ("delete.before", "delete.after") for n in (1, 3)]
    + [("sweep.forgotten", 1)],
)
def test_a_deletion_killed_anywhere_is_whole_when_done_again(
    lake: Lake, tmp_path: Path, point: str, nth: int
) -> None:
    tests = str(Path(__file__).resolve().parents[2])
    script = textwrap.dedent(KILLED.format(tests=tests, point=point, nth=nth, home=str(tmp_path)))
    ended = subprocess.run([sys.executable, "-c", script], check=False)
    assert ended.returncode == -signal.SIGKILL
    # Whatever happened: the other agency's events are all there, and each file is whole or done with.
    assert set(sequences(lake)) >= {2, 5}
    assert set(sequences(lake)) in (
        {1, 2, 3, 4, 5, 6, 7, 8},
        {2, 4, 5, 6, 7, 8},
        {2, 5, 7, 8},
        {2, 5},
    )
    lake.delete_before("a", NOW + timedelta(days=1), now=NOW)
    assert sequences(lake) == [2, 5]
    lake.sweep(NOW + timedelta(days=9))
    left = sorted(path.suffix for path in (tmp_path / "lake").rglob("*") if path.is_file())
    assert (left, lake.health().status) == ([".parquet", ".parquet"], "ok")


def test_who_reads_while_events_are_deleted_reads_on_undisturbed(lake: Lake) -> None:
    scan = lake.scan(Window({"n1": (0, 8)}), scope=ALL)
    read = [next(scan)[1].column("thapcanh.sequence").to_pylist()]
    lake.delete_before("a", LATER, now=NOW)
    lake.sweep(NOW)
    read += [table.column("thapcanh.sequence").to_pylist() for _, table in scan]
    assert read == [[1, 2, 3], [4, 5, 6], [7, 8]]
    assert sequences(lake) == [2, 5]


def test_files_that_were_replaced_go_when_no_reader_can_hold_them(
    lake: Lake, tmp_path: Path
) -> None:
    import os

    lake.delete_before("a", LATER, now=NOW)
    for path in (tmp_path / "lake").rglob("*.parquet"):
        os.utime(path, (0, 0))
    assert lake.sweep(NOW + timedelta(minutes=59)) == 0
    assert lake.sweep(NOW + timedelta(minutes=61)) == 3
    assert len(list((tmp_path / "lake").rglob("*.parquet"))) == 2


def test_a_hold_that_comes_while_a_file_is_written_anew_is_kept(
    lake: Lake, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_step(name: str) -> None:
        if name != "delete.before":
            return
        monkeypatch.setattr(steps, "on_step", None)
        with state.begin() as session:
            session.add(
                Hold(
                    id=new_id(), agency="a", first_time=NOW, last_time=NOW + timedelta(seconds=3),
                    reason="a case", by="person:kiem", at=NOW, released=None,
                )
            )  # fmt: skip

    monkeypatch.setattr(steps, "on_step", on_step)
    assert lake.delete_before("a", LATER, now=NOW) == 4
    assert sequences(lake) == [1, 2, 3, 5]


def test_the_files_keep_their_place_in_the_order_of_commits(lake: Lake, state: State) -> None:
    lake.delete_before("a", NOW + timedelta(seconds=2), now=NOW)
    with state.read() as session:
        live = sa.select(LakeFile.number, LakeFile.rows).where(LakeFile.state == "live")
        assert sorted(map(tuple, session.execute(live))) == [(1, 2), (2, 3), (3, 2)]
