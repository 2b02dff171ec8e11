"""A tailer over a folder, with a spool in memory and a clock of the test's own."""

from __future__ import annotations

from pathlib import Path

from collectors.receivers import starts
from collectors.tail.follower import Piece, Ways
from collectors.tail.known import Entries
from collectors.tail.tailer import Tailer
from pipeline.model.records import RawRecord


class Tailing:
    """`records` is the spool. `killed_after`: die after so many stores, before the offset moves."""

    def __init__(
        self, root: Path, *patterns: str, assemble: str = "", ways: Ways | None = None
    ) -> None:
        self.logs = root / "logs"
        self.logs.mkdir(exist_ok=True)
        self.patterns = tuple(str(self.logs / p) for p in patterns or ("*",))
        self._checkpoint = root / "checkpoint"
        self.assemble, self.ways = assemble, ways or Ways()
        self.records: list[RawRecord] = []
        self.now, self.killed_after = 1000.0, 0
        self.start()

    def start(self) -> None:
        entries = Entries(self._checkpoint)
        entries.recover(
            [one for one in self.records if one.sequence > entries.sequence],
            self.ways.record,
            contiguous=self.assemble != "audit",
        )
        chosen = self.assemble
        self.tailer = Tailer(
            entries, self.patterns, self.ways, self._store,
            assembler=lambda: starts.assembler(
                chosen, seconds=2.0, size=self.ways.record, join=self.ways.newline
            ) if chosen else None,
        )  # fmt: skip

    def kill(self) -> None:
        self.tailer.close()  # as the kernel does
        self.start()

    def turn(self, seconds: float = 1.0) -> None:
        self.now += seconds
        try:
            while self.tailer.turn(self.now):
                pass
        except KilledError:
            self.kill()

    def settle(self) -> None:
        for _ in range(40):
            self.turn(3.0)

    @property
    def bodies(self) -> list[bytes]:
        return [one.body for one in self.records]

    def _store(self, pieces: list[Piece]) -> int:
        for one in pieces:
            identity = one.follower.entry.identity(one.offset)
            self.records.append(RawRecord(len(self.records) + 1, "s", 0, one.body, identity))
        if self.killed_after:
            self.killed_after -= 1
            if not self.killed_after:
                raise KilledError
        return len(self.records)


class KilledError(Exception):
    pass
