"""The worker of jobs as a process: it does what waits, and hands back what it was at when told to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from support.small_home import small_home, spool, work_off

from pipeline.detect.jobs import jobs
from pipeline.model.clock import utc_now
from pipeline.model.scope import OPERATOR
from pipeline.serve.job_worker import JobDesk
from pipeline.state.tables.jobs import JobRow

RULE_ID = "5f1b2a0e-6f50-4a8b-9f0d-0d9f8a7c1e11"


def test_a_worker_s_process_does_the_job_even_after_another_was_killed(tmp_path: Path) -> None:
    here = small_home(tmp_path / "home")
    try:
        spool(here, 1, 2, 3)
        work_off(here)
        asked = {"days": 1}
        job = jobs.ask(here.state, OPERATOR, "backtest_rule", RULE_ID, asked, now=utc_now())
        dead = jobs.take(here.state, now=utc_now() - timedelta(minutes=1))  # and no sign since
        assert dead is not None
        desk = JobDesk(here)
        desk.look()
        found = jobs.find_job(here.state, OPERATOR, job, now=utc_now())
        limit = time.monotonic() + 60
        while found.open and time.monotonic() < limit:
            time.sleep(0.1)
            found = jobs.find_job(here.state, OPERATOR, job, now=utc_now())
        desk.close()
        assert (found.status, found.error) == ("done", {})
        assert (found.result["events"], found.result["now"]["matches"]) == (3, 3)
        assert found.result["opens_tickets"]
        with here.state.read() as session:
            assert session.scalar(sa.select(JobRow.tries)) == 2
    finally:
        here.close()


def test_a_desk_starts_no_worker_where_nothing_waits_and_outlives_a_killed_one(
    tmp_path: Path,
) -> None:
    here = small_home(tmp_path / "home")
    try:
        desk = JobDesk(here)
        desk.look()
        assert desk.worker is None
        jobs.ask(here.state, OPERATOR, "backtest_rule", RULE_ID, {"days": 1}, now=utc_now())
        desk.look()
        assert desk.worker is not None
        os.kill(desk.worker.pid, signal.SIGKILL)
        desk.worker.wait()
        desk.look()  # the job waits, or its signs have stopped: no error either way
        desk.close()
    finally:
        here.close()


def test_a_role_detect_whose_loop_falls_ends_and_is_not_held_by_the_desk_of_jobs(
    tmp_path: Path,
) -> None:
    here = small_home(tmp_path / "home")
    here.close()
    fall = (
        "import threading; from pathlib import Path\n"
        "from pipeline.detect.running import scheduler; from pipeline.serve import installation, roles\n"
        "def fall(*_, **__): raise RuntimeError('it fell')\n"
        "scheduler.detect_loop = fall\n"
        f"here = installation.open_home(Path({str(tmp_path / 'home')!r}))\n"
        "roles.run_role(here, 'detect', threading.Event())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", fall], check=False, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert ended.stderr.endswith("RuntimeError: it fell\n")
