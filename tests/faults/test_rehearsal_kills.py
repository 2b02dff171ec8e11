"""A day of the drill while its roles, and its player, are killed again and again: the same tickets as ever.

The tickets are those that the script demands by its own words (rule, agency, entity, and the multiset of the
events' originals), which is what an undisturbed day makes (`tests/serve/test_rehearse.py`).
`KILLS` in the environment asks for more than the few of CI.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.drill_home import DrillHome
from support.serving import until

from pipeline.serve.supervisor import ROLES

SCRIPT = ("--seed", "7", "--start", "2026-11-23T00:00:00+07:00", "--records", "800")
SAID = "the tickets are those that the script demands"
KILLS = int(os.environ.get("KILLS", "12"))


@pytest.mark.faults
def test_kills_of_every_role_and_of_the_player_change_no_ticket(tmp_path: Path) -> None:
    at = DrillHome(tmp_path / "home")
    rng = random.Random(KILLS)
    play = ("rehearse", *SCRIPT, "--seconds", "12", "--no-check")
    server, player = at.start("serve"), None
    killed: list[str] = []
    try:
        until(lambda: set(at.pids()) == set(ROLES))
        player = at.start(*play)
        for number in range(KILLS):
            time.sleep(rng.uniform(0.3, 1.6))
            role = (*ROLES, "player")[number % (len(ROLES) + 1)]
            if role == "player" and player.poll() is None:
                player.kill()
            elif role != "player":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(at.pids()[role], signal.SIGKILL)
            killed.append(role)
            if player.poll() is not None:
                player = at.start(*play)
        player.wait(120)
        done = at.say("rehearse", "--seconds", "1")
    finally:
        for process in (player, server):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
    assert (done.returncode, SAID in done.stdout) == (0, True), (killed, done.stderr)
