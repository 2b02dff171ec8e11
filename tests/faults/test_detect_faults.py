"""Detection killed anywhere and begun again: findings, coverage and cursors of an undisturbed run.

Each kill works on a copy of one store. `KILLS` is how many (10 in CI, 200 by `make faults`).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from support.detect_process import EXCEPTION, LEASE, work
from support.detecting import SCHEMA, event
from support.states import empty_state

from pipeline.detect.running.runs import cursors_of
from pipeline.model import events
from pipeline.model.clock import EPOCH
from pipeline.state.state import State
from pipeline.state.tables.detection import (
    Coverage,
    FindingEvent,
    FindingRow,
    HiddenMatch,
    MatchBlob,
    Run,
)
from pipeline.state.tables.rules import ExceptionRow
from pipeline.store.base import Commit
from pipeline.store.lake.store import Lake

pytestmark = pytest.mark.faults
_ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("KILLS", "10"))
POINTS = ("run.begun", "run.matched", "run.findings", "run.before_commit", "run.committed", "*")
LENGTH = 60  # receipts of each of two nodes
BEGAN = int(time.time()) - 3_000  # what is older than the allowed lateness is never taken back


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two nodes, a few hosts, bursts and lulls, late events, in commits of many sizes."""
    home = tmp_path_factory.mktemp("base")
    state = empty_state(home / "state.sqlite")
    with state.begin() as session:
        session.add(
            ExceptionRow(
                id=EXCEPTION, title="", rules=["r"], text="", owner="", reason="", agencies=[],
                proposed=EPOCH, proposed_by="", expires=EPOCH, approved=None, ended=None,
            )
        )  # fmt: skip
    lake, dice = Lake(home / "lake", state), random.Random(11)
    for node in ("n", "m"):
        first = 1
        while first <= LENGTH:
            last = min(LENGTH, first + dice.randrange(1, 18))
            lake.append(_commit(node, first, last, dice), now=EPOCH)
            first = last + 1
    state.close()
    return home


def _commit(node: str, first: int, last: int, dice: random.Random) -> Commit:
    rows = [
        event(
            sequence,
            node=node,
            time=BEGAN + sequence * 7 - (dice.randrange(400) if dice.random() < 0.2 else 0),
            host=f"pc-{dice.randrange(4)}",
            process=dice.choice(("mimikatz.exe", "mimikatz.exe", "notepad.exe")),
            agency=f"ward-{dice.randrange(2)}",
        )
        | {"thapcanh.source": "s"}
        for sequence in range(first, last + 1)
        if dice.random() < 0.9
    ]
    for row in rows:
        row[events.CREATED] = row[events.INGESTED] = row[events.TIME]
    schema = SCHEMA.append(pa.field("thapcanh.source", pa.string()))
    tables = {"windows.sysmon": pa.Table.from_pylist(rows, schema)} if rows else {}
    return Commit(node, first, last, tables, dropped=last - first + 1 - len(rows))


def outcome(home: Path) -> dict[str, Any]:
    """What must be the same: events of findings, coverage, cursors. Ids and times of runs differ."""
    state = State.at(home / "state.sqlite")
    with state.read() as session:
        episodes = sorted(
            (
                row.rule, row.agency, row.entity, row.count,
                tuple(
                    sorted(
                        e.hex()
                        for e in session.scalars(
                            sa.select(FindingEvent.event).where(FindingEvent.finding == row.id)
                        )
                    )
                ),
            )
            for row in session.scalars(
                sa.select(FindingRow).where(FindingRow.merged_into == "", FindingRow.count > 0)
            )
        )  # fmt: skip
        covered = sorted(
            (c.schedule, c.ruleset, c.node, c.first, c.last, sorted(map(str, c.agencies.items())))
            for c in session.scalars(sa.select(Coverage))
        )
        done = [r.window for r in session.scalars(sa.select(Run).where(Run.status == "done"))]
        assert not session.scalar(
            sa.select(sa.func.count()).select_from(FindingEvent).where(
                FindingEvent.finding.not_in(sa.select(FindingRow.id))
            )
        )  # fmt: skip
        rows = session.scalar(sa.select(sa.func.sum(MatchBlob.rows)))
        hidden = sorted(
            (row.rule, row.event.hex(), row.agency)
            for row in session.scalars(sa.select(HiddenMatch))
        )
        cursors = cursors_of(session, "main")
    state.close()
    return {
        "episodes": episodes, "covered": covered, "cursors": cursors, "stored": rows,
        "hidden": hidden,
        "windows": _disjoint(done),
    }  # fmt: skip


def _disjoint(windows: list[dict[str, list[int]]]) -> dict[str, bool]:
    """By node, whether no two of the runs that were finished have a sequence in common."""
    found: dict[str, bool] = {}
    for node in ("n", "m"):
        spans = sorted(w[node] for w in windows if node in w)
        found[node] = all(a[1] <= b[0] for a, b in zip(spans, spans[1:], strict=False))
    return found


@pytest.fixture(scope="module")
def undisturbed(store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("whole") / "home"
    shutil.copytree(store, home)
    work(home, "w")
    found = outcome(home)
    rules = {episode[0] for episode in found["episodes"]}
    assert rules == {"r", "burst", "bursts", "lull"}
    assert found["hidden"]
    assert found["cursors"] == {"n": LENGTH, "m": LENGTH}
    return found


def start(home: Path, holder: str, *death: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "support.detect_process", str(home), holder, *death],
        env={**os.environ, "PYTHONPATH": f"{_ROOT}:{_ROOT / 'tests'}"},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("kill", range(KILLS))
def test_killed_anywhere_and_begun_again_it_is_as_if_undisturbed(
    store: Path, undisturbed: dict[str, Any], tmp_path: Path, kill: int
) -> None:
    home, dice = tmp_path / "home", random.Random(kill)
    shutil.copytree(store, home)
    if kill % 3:
        point = POINTS[(kill // 3 * 2 + kill % 3) % len(POINTS)]
        process = start(home, "w", point, str(dice.randrange(1, 90 if point == "*" else 20)))
    else:  # at no named point at all: whenever it happens to be
        process = start(home, "w")
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        time.sleep(dice.random() * 1.5)
        process.kill()
    process.communicate()
    assert process.returncode in (-signal.SIGKILL, 0)
    work(home, "w")
    assert outcome(home) == undisturbed


def test_two_workers_never_evaluate_one_window_twice_even_when_one_is_frozen_meanwhile(
    store: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(store, home)
    one, other = start(home, "one"), start(home, "other")
    for process in (one, other):
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
    time.sleep(0.4)
    one.send_signal(signal.SIGSTOP)
    time.sleep(LEASE * 1.5)  # its lease runs out; what it commits afterwards is refused
    one.send_signal(signal.SIGCONT)
    assert [process.communicate(timeout=120)[0] for process in (one, other)] == ["done\n"] * 2
    assert outcome(home) == undisturbed
