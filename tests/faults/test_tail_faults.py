"""Files that are written, turned, emptied and packed while their collector is killed: each line is stored once."""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from support.collector import logs_of, spooled
from support.forks import forked
from support.tail_process import SETTLE

pytestmark = pytest.mark.faults
CYCLES = int(os.environ.get("KILLS", "10"))


class _Writer(threading.Thread):
    """Appends numbered lines; turns the log by renaming, by copying and emptying, by packing. `late` are the lines of
    copies that the machine let stand beside their log for so long that they are files of their own (docs/receivers.md)."""

    def __init__(self, folder: Path, *, rest: float) -> None:
        super().__init__(daemon=True)
        self.folder, self.rest, self.done = folder, rest, threading.Event()
        self.lines, self.turns, self.begun = 0, 0, 0
        self.late: set[bytes] = set()
        self.chooser = random.Random(7)

    def run(self) -> None:
        log = self.folder / "app.log"
        while not self.done.is_set():
            count = self.chooser.choice([1, 5, 60])
            with log.open("ab") as file:
                file.write(b"".join(b"line %d\n" % (self.lines + n) for n in range(count)))
            self.lines += count
            if self.chooser.random() < 0.03:
                self.turn(log)
            time.sleep(self.rest)

    def turn(self, log: Path) -> None:
        self.turns += 1
        older = self.folder / f"app.{self.turns}.log"
        how = self.chooser.choice(["rename", "copy", "pack"])
        if how == "rename":
            log.rename(older)
        elif how == "copy":
            draft = self.folder / ".copy"
            shutil.copy(log, draft)
            copied = time.monotonic()
            draft.rename(older)
            os.truncate(log, 0)
            if time.monotonic() - copied > SETTLE / 2:
                self.late |= {b"line %d" % n for n in range(self.begun, self.lines)}
        else:
            draft = self.folder / ".packed"
            draft.write_bytes(gzip.compress(log.read_bytes()))
            draft.rename(older)
            log.unlink()
        self.begun = self.lines


def settled(root: Path, lines: int) -> None:
    """Until all lines are there, or nothing has come for long."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 15:
        found = len(spooled(root))
        if found >= lines:
            time.sleep(1.0)  # what comes twice, comes now
            return
        if found != last:
            last, since = found, time.monotonic()
        time.sleep(0.4)


def test_killed_at_random_while_logs_grow_and_turn_each_line_is_stored_once(tmp_path: Path) -> None:
    logs = logs_of(tmp_path)
    logs.mkdir()
    chooser, writer = random.Random(3), _Writer(logs, rest=0.02)
    writer.start()
    for cycle in range(CYCLES):
        words = [str(chooser.randrange(1, 8))] if cycle % 2 else []
        with (
            forked("tail_process", str(tmp_path), *words) as (started, _),
            contextlib.suppress(subprocess.TimeoutExpired),
        ):
            started.wait(chooser.uniform(0.05, 0.5))
    writer.done.set()
    writer.join(10)
    with forked("tail_process", str(tmp_path)) as (started, _):
        settled(tmp_path, writer.lines)
        started.send_signal(signal.SIGTERM)
        assert started.wait(10) == 0
    records = spooled(tmp_path)
    assert [one.sequence for one in records] == list(range(1, len(records) + 1))
    times = Counter(one.body for one in records)
    twice = [
        (b, [(r.sequence, r.peer) for r in records if r.body == b])
        for b, n in times.items()
        if n > 1
    ]
    assert [one for one in twice if one[0] not in writer.late][:5] == []
    assert set(times) == {b"line %d" % n for n in range(writer.lines)}
    assert writer.turns > 0
