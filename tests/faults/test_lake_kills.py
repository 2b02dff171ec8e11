"""The lake's process killed (SIGKILL) at every step of a commit and of both compactions: nothing lost, nothing doubled.

Each round a process appends, merges hours and days, and dies at its so-manyth step; the next goes on from what is there.
`KILLS` is how many rounds (10 in CI).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.event_tables import NOW, event_commit
from support.states import empty_state

from pipeline.model.detections import Window
from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.store import steps
from pipeline.store.lake import compact as lake_compact
from pipeline.store.lake import verify as lake_verify
from pipeline.store.lake.store import Lake

pytestmark = pytest.mark.faults
KILLS = int(os.environ.get("KILLS", "10"))


def work(folder: Path, at: int, now: datetime) -> None:
    """Two commits more, then everything merged; killed at step `at`."""
    lake_compact.FEW = 3  # type: ignore[misc]
    passed = 0

    def on_step(name: str) -> None:
        nonlocal passed
        passed += 1
        if passed == at:
            os.kill(os.getpid(), signal.SIGKILL)

    state = State.at(folder / "state.sqlite")
    lake = Lake(folder / "lake", state)
    steps.on_step = on_step
    for _ in range(2):
        first = lake.watermark().get("n1", 0) + 1
        rows = [{"organization.id": one} for one in "aaabbc"]
        lake.append(event_commit(rows, first), now=now)
    for later in (timedelta(hours=1), timedelta(days=1)):
        while lake.compact(NOW + later, most=1):
            pass


def test_a_lake_killed_at_any_step_is_whole(tmp_path: Path) -> None:
    state = empty_state(tmp_path / "state.sqlite")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline.store.lake.store", "support.event_tables", "pyarrow"])
    lake = Lake(tmp_path / "lake", state)
    died = 0
    for number in range(1, KILLS + 1):
        process = context.Process(target=work, args=[tmp_path, number % 23 + 1, NOW])
        process.start()
        process.join(60)
        assert process.exitcode in (0, -signal.SIGKILL)
        died += process.exitcode != 0
        last = lake.watermark().get("n1", 0)
        scanned = [
            one
            for _, table in lake.scan(Window({"n1": (0, last)}), scope=Scope.everything())
            for one in table.column("thapcanh.sequence").to_pylist()
        ]
        assert sorted(scanned) == list(range(1, last + 1))
        assert lake_verify.verify(tmp_path / "lake", state, lambda done, total: None).found == []
    assert died
    work(
        tmp_path, 0, NOW
    )  # to its end: what was left behind goes, and the files are an agency's each
    lake.sweep(NOW + timedelta(days=2))
    looked = lake_verify.verify(tmp_path / "lake", state, lambda done, total: None)
    on_disk = [path for path in (tmp_path / "lake").rglob("*") if path.is_file()]
    assert (looked.found, looked.events, len(on_disk)) == ([], lake.watermark()["n1"], looked.files)
    state.close()
