"""A real disk, full to the last byte: the drill's data go, receivers push back, and all goes on with room."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.faults
_ROOT = Path(__file__).resolve().parents[2]

_SMALL_DISK = """
set -e
mount -t tmpfs -o size=24m tmpfs "$1"
exec "$2" - "$1" <<'PYTHON'
import os, sys
from datetime import timedelta
from pathlib import Path
from support.small_home import NODE, another_agency, numbers_stored, small_home, spool
from pipeline.model.clock import utc_now
from pipeline.model.errors import ServiceAwayError
from pipeline.serve import disk
from pipeline.serve.keeping import backup
from pipeline.serve.ingest import settle_node
from pipeline.serve.keeping.keeper import Keeper
from pipeline.state.alarms import open_alarms

root, now = Path(sys.argv[1]), utc_now()
here = small_home(root / "home")
another_agency(here, "d", drill=True)
for number, source in ((1, "p1-win"), (2, "d-win")):
    spool(here, number, received=now - timedelta(hours=2), source=source)
    settle_node(here, NODE)
keeper = Keeper(here, now)
while keeper.turn(now): pass
assert (here.settings.run / "ballast").exists()
assert numbers_stored(here) == [1, 2]

other = root / "other"
with other.open("wb", buffering=0) as file:  # somebody else fills it, to the last byte
    try:
        while file.write(b"x" * 4096): pass
    except OSError as error:
        assert error.errno == 28, error
assert disk.usage(here.settings.lake).free < 4096
backup._SPARE = -(1 << 40)  # as if another had filled it after we looked
for target in (root / "b", Path("/dev/shm") / f"thapcanh-{os.getpid()}"):
    try:
        backup.back_up(here, target, now=now, progress=lambda done, total: None)
    except ServiceAwayError as error:
        assert error.remedy, error
    else:
        raise AssertionError("a backup on a full disk")
    assert not target.exists() and not (here.settings.lake / ".held").exists()
    assert not (here.settings.run / "backup").exists()
for second in range(40):
    keeper.turn(now + timedelta(seconds=6 * second))
assert numbers_stored(here) == [1], numbers_stored(here)
assert [alarm.key for alarm in open_alarms(here.state)] == ["disk"]
assert "may be deleted" in disk.trouble(here.settings), disk.trouble(here.settings)

other.unlink()
for second in range(3):
    keeper.turn(now + timedelta(minutes=5, seconds=6 * second))
assert (open_alarms(here.state), disk.trouble(here.settings)) == ([], "")
assert (here.settings.run / "ballast").exists()
spool(here, 3)
settle_node(here, NODE)
assert numbers_stored(here) == [1, 3]
print("ok")
PYTHON
"""


def test_a_disk_full_to_the_last_byte_is_survived_and_told(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    disk = tmp_path / "disk"
    disk.mkdir()
    probe = [str(unshare), "-m", "mount", "-t", "tmpfs", "tmpfs", str(disk)]
    if unshare is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        message = "needs to mount a small tmpfs (unshare -m): run this test as root"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    done = subprocess.run(
        [unshare, "-m", "bash", "-c", _SMALL_DISK, "bash", str(disk), sys.executable],
        env={**os.environ, "PYTHONPATH": f"{_ROOT}:{_ROOT / 'tests'}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stdout + done.stderr
