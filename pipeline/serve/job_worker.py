"""The worker of jobs: a process of its own beside the roles *detect* (backtests, backfills) and *normalise* (replays,
where the spool is), so that long work delays no run.

    python -m pipeline.serve.job_worker HOME            # ends when standard input does, or nothing is left
    python -m pipeline.serve.job_worker HOME replay     # replays of dead letters instead

The role starts one when a job waits (`JobDesk.look`); it works off what waits, at low priority, and ends.
A worker that is killed leaves a job whose signs of life stop; the next one takes it again.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

from pipeline.detect.jobs import jobs
from pipeline.model.clock import utc_now
from pipeline.model.errors import ServiceAwayError
from pipeline.serve.installation import Installation, open_home
from pipeline.serve.policy import opens_tickets
from pipeline.serve.roles import stop_with_parent

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
NICE = 10


class JobDesk:
    """Starts a worker when a job waits and none is at work. One per role *detect*, and one (`replays`) per
    role *normalise*."""

    def __init__(self, here: Installation, *, replays: bool = False) -> None:
        self._here, self._replays = here, replays
        self.worker: subprocess.Popen[bytes] | None = None

    def run(self, stop: threading.Event) -> None:
        """Blocks until `stop`; then its worker hands back what it was at."""
        while not stop.wait(LOOK_SECONDS):
            try:
                self.look()
            except ServiceAwayError:
                continue  # the state is away; the role says so itself
            except OSError:  # no process to be had just now
                log.exception("ALARM no worker of jobs can be started")
        self.close()

    def look(self) -> None:
        if self.worker is not None and self.worker.poll() is None:
            return
        if self.worker is not None and self.worker.returncode:
            log.warning("a worker of jobs fell", extra={"exit": self.worker.returncode})
        self.worker = None
        kinds = jobs.REPLAY if self._replays else jobs.DETECTION
        if jobs.waits(self._here.state, kinds, now=utc_now()):
            command = [
                sys.executable,
                "-m",
                "pipeline.serve.job_worker",
                str(self._here.settings.home),
                *(["replay"] if self._replays else []),
            ]
            self.worker = subprocess.Popen(command, stdin=subprocess.PIPE)

    def close(self) -> None:
        if self.worker is None or self.worker.poll() is not None:
            return
        assert self.worker.stdin is not None
        self.worker.stdin.close()
        try:
            self.worker.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.worker.kill()
            self.worker.wait()


def main(home: Path, *, replays: bool = False) -> None:
    from pipeline.detect.jobs.work import do_one, work_once

    os.nice(NICE)
    stop = threading.Event()
    stop_with_parent(stop)
    here = open_home(home, create=False)
    try:
        if replays:
            from pipeline.serve.replay_work import replay_work

            def turn() -> bool:
                return do_one(here.state, jobs.REPLAY, replay_work(here, stop), stop=stop)
        else:

            def turn() -> bool:
                return work_once(
                    here.state, here.store, stop=stop,
                    opens=lambda *rule: opens_tickets(here, *rule),
                )  # fmt: skip

        while not stop.is_set() and turn():
            pass
    finally:
        here.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), replays=sys.argv[2:] == ["replay"])
