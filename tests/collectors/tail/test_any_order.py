"""Whatever a writer, a rotation and a kill do in whatever order: each line once."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.tailing import Tailing

DEEDS = (
    "append", "append", "part", "turn", "turn", "rename", "copy", "copy late", "pack", "empty", "kill", "die", "down"
)  # fmt: skip


class World:
    """One log with its rotations. `written` are all whole lines, in the order of their writing."""

    def __init__(self, root: Path, assemble: str) -> None:
        self.t = Tailing(root, assemble=assemble)
        self.log = self.t.logs / "app.log"
        self.written: list[bytes] = []
        self.part = b""
        self.turns = 0

    def append(self) -> None:
        lines = [b"2026-11-24 line %d" % (len(self.written) + n) for n in range(3)]
        with self.log.open("ab") as file:
            file.write(self.part and b" whole\n")
            file.write(b"".join(b"%s\n" % line for line in lines))
        if self.part:
            self.written.append(self.part + b" whole")
        self.part = b""
        self.written += lines

    def begin_line(self) -> None:
        if not self.part:
            self.part = b"2026-11-24 part %d" % len(self.written)
            with self.log.open("ab") as file:
                file.write(self.part)

    def _older(self) -> Path:
        self.turns += 1
        return self.t.logs / f"app.log.{self.turns}"

    def do(self, deed: str) -> None:
        t = self.t
        if deed == "append":
            self.append()
        elif deed == "part":
            self.begin_line()
        elif deed == "turn":
            t.turn(0.1)
        elif deed == "kill":
            t.kill()
        elif deed == "die":
            t.killed_after = 1
            t.turn(0.1)
            t.killed_after = 0
        elif deed == "down":
            t.now += 3600
            t.kill()
        elif self.log.exists() and self.log.stat().st_size:
            if self.part:
                self.append()
            self._rotate(deed)

    def _rotate(self, deed: str) -> None:
        if deed == "rename":
            self.log.rename(self._older())
        elif deed == "copy":
            shutil.copy(self.log, self._older())
            os.truncate(self.log, 0)
        elif deed == "copy late":
            self.t.turn(0.1)  # a log is known before it is copied
            shutil.copy(self.log, self._older())
            self.append()
            for _ in range(2):
                self.t.turn(2.5)  # in no copy, but read
            os.truncate(self.log, 0)
            self.t.turn(0.1)  # and the emptying is seen before the log is gone
        elif deed == "pack":
            older = self._older().with_suffix(f".{self.turns}.gz")
            older.write_bytes(gzip.compress(self.log.read_bytes()))
            self.log.unlink()
        elif deed == "empty":
            self.t.settle()  # nobody can read what was never seen
            os.truncate(self.log, 0)


@given(st.lists(st.sampled_from(DEEDS), max_size=25), st.sampled_from(["", "date"]))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_each_line_is_a_record_once(deeds: list[str], assemble: str) -> None:
    with tempfile.TemporaryDirectory() as root:
        world = World(Path(root), assemble)
        for deed in deeds:
            world.do(deed)
        if world.part:
            world.append()
        world.t.settle()
        times = Counter(world.t.bodies)
        assert {body: n for body, n in times.items() if n != 1} == {}
        assert set(times) == set(world.written)
        world.t.tailer.close()
