"""Killed, out of space, refused by the disk: what was acknowledged is in the spool, once, in order."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from collectors.spool import SpoolReader, SpoolWriter

pytestmark = pytest.mark.faults
_ROOT = Path(__file__).resolve().parents[2]
_LOAD = str(_ROOT / "tests/support/spool_load.py")
CYCLES = int(os.environ.get("KILLS", "10"))


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(_ROOT)}


def needs(tool: str) -> str:
    path = shutil.which(tool)
    if path is None:
        message = f"needs {tool}: apt-get install {'util-linux' if tool == 'unshare' else tool}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


Acknowledged = list[tuple[int, int, str]]


def parse(output: bytes) -> Acknowledged:
    """What the load said; a last line that the kill cut short does not count."""
    *lines, _ = output.decode().split("\n")
    found = [line.split() for line in lines if line[:1].isdigit()]
    return [(int(first), int(count), key) for first, count, key in found]


def judge(root: Path, acknowledged: Acknowledged) -> int:
    """Gap-free, each acknowledged record once and at its sequence, each batch whole. Returns the last."""
    with SpoolReader(root, "n1") as reader:
        records = reader.read(0, 10_000_000, max_bytes=1 << 40)
        assert len(records) == reader.durable()
    assert [record.sequence for record in records] == list(range(1, len(records) + 1))
    names = [record.body.split()[0].decode() for record in records]
    for first, count, key in acknowledged:
        assert names[first - 1 : first - 1 + count] == [f"{key}-{i}" for i in range(count)]
    assert all(times == 1 for times in Counter(names).values())
    return len(records)


def test_a_writer_killed_under_load_loses_and_repeats_nothing_that_it_acknowledged(
    tmp_path: Path,
) -> None:
    chooser = random.Random(20261124)
    acknowledged: Acknowledged = []
    for cycle in range(CYCLES):
        with subprocess.Popen(
            [sys.executable, _LOAD, str(tmp_path), str(cycle), "30"],
            env=environment(), stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            os.set_blocking(process.stdout.fileno(), True)
            killer = time.monotonic() + chooser.uniform(0.02, 0.5)
            output = b""
            while time.monotonic() < killer:
                output += os.read(process.stdout.fileno(), 1 << 16)
            process.send_signal(signal.SIGKILL)
            output += process.stdout.read()
        acknowledged += parse(output)
    with SpoolWriter(tmp_path, "n1") as writer:
        assert writer.damaged == []
    assert judge(tmp_path, acknowledged) >= sum(count for _, count, _ in acknowledged) > CYCLES


_SMALL_DISK = """
set -e
mount -t tmpfs -o size=1500k tmpfs "$1"
"$2" - "$1" <<'PYTHON'
import sys, time
from pathlib import Path
from collectors.spool import Draft, SpoolFullError, SpoolLimits, SpoolReader, SpoolWriter

root = Path(sys.argv[1]) / "spool"
limits = SpoolLimits(segment_bytes=300_000)
names = []
with SpoolWriter(root, "n1", limits) as writer, SpoolReader(root, "n1") as reader:
    def fill(tag):
        for i in range(10_000):
            drafts = [Draft("s", 1, f"{tag}-{i}-{j} {'x' * 500}".encode()) for j in range(5)]
            try:
                receipt = writer.append(drafts)
            except SpoolFullError as error:
                assert "full" in str(error), error
                return
            assert receipt.first == len(names) + 1, (receipt, len(names))
            names.extend(f"{tag}-{i}-{j}" for j in range(5))
    fill("a")
    assert len(names) > 1500, len(names)
    for _ in range(20):  # still full, still refused, nothing creeps in
        fill("b")
    full = len(names)
    assert reader.release(full, retain=0)
    first = reader.first()
    fill("c")
    assert len(names) > full + 300, (len(names), full)
with SpoolWriter(root, "n1", limits) as writer:  # a start on a full disk
    assert writer.damaged == []
    assert writer.last == len(names)
with SpoolReader(root, "n1") as reader:
    found = reader.read(first - 1, 1_000_000)
assert [r.sequence for r in found] == list(range(first, len(names) + 1))
assert [r.body.split()[0].decode() for r in found] == names[first - 1:]
print("ok", full, len(names))
PYTHON
"""


def test_a_full_disk_refuses_and_the_writer_goes_on_when_space_returns(tmp_path: Path) -> None:
    unshare = needs("unshare")
    disk = tmp_path / "disk"
    disk.mkdir()
    probe = subprocess.run(
        [unshare, "-m", "mount", "-t", "tmpfs", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if probe.returncode:
        message = "needs to mount a small tmpfs (unshare -m): run this test as root"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    done = subprocess.run(
        [unshare, "-m", "bash", "-c", _SMALL_DISK, "bash", str(disk), sys.executable],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout[:3]) == (0, "ok "), done.stdout + done.stderr


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_a_disk_that_fails_to_write_or_sync_is_never_acknowledged(
    tmp_path: Path, call: str
) -> None:
    strace = needs("strace")
    command = [
        strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
        "-e", f"inject={call}:error=EIO:when=12+7",
        sys.executable, _LOAD, str(tmp_path), "0", "1.5",
    ]  # fmt: skip
    done = subprocess.run(command, env=environment(), capture_output=True, check=False)
    if b"ready" not in done.stdout and b"ptrace" in done.stderr:
        pytest.skip("needs to trace a child process (ptrace is forbidden here)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"! SpoolIOError") > 3
    acknowledged = parse(done.stdout)
    assert len(acknowledged) > 20
    stored = judge(tmp_path, acknowledged)
    assert stored == sum(count for _, count, _ in acknowledged)
