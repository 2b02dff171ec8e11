"""The supervisor's eye on its children: who does not stay up is told, until it does."""

from __future__ import annotations

import errno
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.serving import until

from pipeline.model.clock import utc_now
from pipeline.serve import supervisor
from pipeline.serve.installation import Installation, open_home
from pipeline.serve.supervisor import Supervisor
from pipeline.state.alarms import open_alarms, raise_alarm
from pipeline.state.tables.operation import Alarm, Pulse

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


def test_a_silent_collector_of_another_machine_is_no_reason_to_kill_ours(tmp_path: Path) -> None:
    here, now = open_home(tmp_path / "home"), utc_now()
    old = now - timedelta(hours=1)
    with here.state.begin() as session:
        for node, beat in (("collect-1", now), ("another-machine", old)):
            session.add(
                Pulse(role="collect", node=node, pid=1, started=old, beat=beat, progress=beat)
            )
    code = "import sys; sys.stdin.read()"
    watched = Supervisor(here, ("collect",), command=lambda _: [sys.executable, "-c", code])
    child = watched._children["collect"]
    watched._keep(child)
    child.started = time.monotonic() - 3600
    try:
        assert [(one.node, one.reason) for one in watched._pulses()] == [("collect-1", "")]
    finally:
        watched._end()
    here.close()


def test_a_role_that_no_process_can_be_had_for_is_tried_again_and_the_others_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF_SECONDS", (0.0,))
    here, wait = (
        open_home(tmp_path / "home"),
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
    )
    there = [str(tmp_path / "no such program")]
    commands = {"detect": there, "console": wait}
    watched = Supervisor(here, tuple(commands), command=commands.__getitem__)
    detect, console = watched._children.values()
    try:
        watched._keep(detect)
        watched._keep(console)
        assert (detect.process, detect.falls, detect.last_exit) == (None, 1, errno.ENOENT)
        assert console.process is not None
        commands["detect"] = wait
        watched._keep(detect)
        assert detect.process is not None
    finally:
        watched._end()
    here.close()
