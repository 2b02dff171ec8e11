"""Text files, followed as they grow, through rotation and restarts. Delivery: acknowledged.

In: the files of an input's patterns (`collectors.tail` says how they are recognised). Out: lines, or records
assembled of lines (`assembly`), with the identity *content + byte offset* and the path as peer. The checkpoint is
written after the spool's fsync; what a kill leaves between the two is read back from the spool at start, and
what is resent all the same is known by its identity. Bytes are kept as they are; the source's encoding only says
how wide a line end is.
"""

from __future__ import annotations

from pathlib import Path

from collectors.formats.text import newline_of
from collectors.receivers import starts
from collectors.receivers.assembly import AUDIT
from collectors.receivers.directory import SourceIdentity
from collectors.receivers.file_worker import FileWorker
from collectors.receivers.intake import Intake, now
from collectors.spool import Draft, SpoolReader
from collectors.tail import scan
from collectors.tail.follower import Piece, Ways
from collectors.tail.known import Entries
from collectors.tail.tailer import Tailer
from pipeline.model.records import RawRecord
from pipeline.settings.values import CollectSettings, FileInput


class FileTail(FileWorker):
    def __init__(
        self, given: FileInput, intake: Intake, settings: CollectSettings, folder: Path
    ) -> None:
        super().__init__(given, intake, settings, folder)
        self._tailer: Tailer | None = None
        self._identity: SourceIdentity | None = None

    def check(self) -> None:
        for pattern in self.given.paths:
            scan.check(pattern)

    def work(self, identity: SourceIdentity, now: float) -> bool:
        if self._tailer is None or self._identity != identity:
            self.finish()
            self._identity, self._tailer = identity, self._begin(identity)
        try:
            return self._tailer.turn(now)
        except BaseException:
            self.finish()  # what was read and not stored is read again
            raise
        finally:
            if self._tailer is not None:
                self.files = self._tailer.files
                self.note_troubles(identity.source, self._tailer.troubles)

    def finish(self) -> None:
        if self._tailer is not None:
            self._tailer.close()
            self._tailer = None

    def _begin(self, identity: SourceIdentity) -> Tailer:
        limits, chosen = self.intake.limits, starts.wanted(identity.assemble, identity.product)
        entries = Entries(self.folder / f"tail-{self.given.name}.checkpoint")
        if entries.damaged:
            self.intake.counters.of(self.name, identity.source).note("checkpoint_damaged")
        entries.recover(
            self._spooled(entries.sequence, identity.source),
            limits.record,
            contiguous=chosen != AUDIT,
        )
        ways = Ways(
            record=limits.record,
            partial=self.settings.settle_seconds / 2,
            settle=self.settings.settle_seconds,
            newline=newline_of(identity.encoding),
        )
        return Tailer(
            entries,
            self.given.paths,
            ways,
            lambda pieces: self._store(identity.source, pieces),
            assembler=lambda: (
                starts.assembler(
                    chosen,
                    seconds=self.settings.assemble_seconds,
                    size=limits.record,
                    join=ways.newline,
                )
                if chosen
                else None
            ),
            handed_over=lambda head: self.intake.directory.handed_over(identity.source, head),
        )

    def _store(self, source: str, pieces: list[Piece]) -> int:
        moment = now()
        drafts = [
            Draft(source, moment, one.body, one.follower.entry.identity(one.offset), one.follower.entry.path)
            for one in pieces
        ]  # fmt: skip
        receipt = self.store(drafts, sum(one.cut for one in pieces))
        return receipt.first + receipt.records - 1

    def _spooled(self, after: int, source: str) -> list[RawRecord]:
        """Ours after a sequence, as far as they can be read. Bodies are needed for their length alone."""
        with SpoolReader(self.folder.parent, self.folder.name) as reader:
            return [r for r in reader.readable(after) if r.source == source and r.identity]
