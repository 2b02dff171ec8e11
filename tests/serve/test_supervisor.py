"""The supervisor's eye on its children: who does not stay up is told, until it does."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.serving import until

from pipeline.model.clock import utc_now
from pipeline.serve import supervisor
from pipeline.serve.installation import Installation, open_home
from pipeline.serve.supervisor import Supervisor
from pipeline.state.alarms import open_alarms, raise_alarm
from pipeline.state.tables.operation import Alarm

CHILD = """
import pathlib, sys
if not pathlib.Path({flag!r}).exists():
    sys.exit(7)
sys.stdin.read()
"""


def alarms(here: Installation) -> list[tuple[str, str]]:
    return [(one.key, one.message) for one in open_alarms(here.state)]


def test_a_role_that_cannot_start_has_an_alarm_until_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF_SECONDS", (0.05,))
    monkeypatch.setattr(supervisor, "SETTLED_AFTER", 0.5)
    here, flag = open_home(tmp_path / "home"), tmp_path / "mended"
    raise_alarm(here.state, "start:console", "of an earlier life", now=utc_now())
    code = {
        "detect": CHILD.format(flag=str(flag)),
        "console": "import sys; sys.stdin.read()",
    }
    watched = Supervisor(here, tuple(code), command=lambda role: [sys.executable, "-c", code[role]])
    stop = threading.Event()
    running = threading.Thread(target=watched.run, args=(stop,))
    running.start()
    try:
        until(lambda: [key for key, _ in alarms(here)] == ["start:detect"])
        ((_, said),) = alarms(here)
        assert said.startswith("detect does not stay up: ")
        assert said.endswith(" times, the last exit code is 7")
        flag.touch()
        until(lambda: alarms(here) == [])
    finally:
        stop.set()
        running.join()
    with here.state.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Alarm)) == 2
