"""A disk without a byte left: clear words, an alarm, no role killed, nothing accepted lost, and it goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.tmpfs import small_disk

pytestmark = pytest.mark.faults
_ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_whole_system_on_a_full_disk_refuses_alarms_waits_and_goes_on(tmp_path: Path) -> None:
    """Collecting, normalising into the lake, detecting and ticketing all meet the end of the disk."""
    disk = tmp_path / "disk"
    begin = small_disk(disk, "40m")
    done = subprocess.run(
        [*begin, sys.executable, str(_ROOT / "tests/support/full_disk.py"), str(disk)],
        env={**os.environ, "PYTHONPATH": f"{_ROOT}:{_ROOT / 'tests'}"},
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    code, text = seen["refusal"]
    assert (code, seen["retry"], seen["still"]) == (429, "5", 429)
    for part in ("the disk is nearly full", str(disk), "Free space on it"):
        assert part in text
    assert (seen["full"]["code"], seen["full"]["status"]) == (503, "stuck")
    assert "state" in {one["role"] for one in seen["full"]["troubles"]}
    assert "database or disk is full" in json.dumps(seen["full"])
    assert '"message": "ALARM the state cannot be written"' in seen["said"]
    assert "Logging error" not in seen["said"]
    assert seen["same"], "roles were killed for a sign of life that they could not give"
    assert seen["well"] == {"code": 200, "status": "ok", "troubles": []}
    assert seen["accepted"] > 100
    assert seen["tickets"] == [seen["accepted"]]
