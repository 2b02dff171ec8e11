"""What the receivers of files share: a thread of their own, who the source is, storing until it succeeds.

In: a `FileInput` and the intake. Out: turns, about every `poll_seconds`, in a thread, so that a slow disk or an NFS
server that hangs holds up no socket. Delivery: acknowledged: a place in a file moves only when the record before
it is on disk. While the spool is full nothing is read. A source that is not published is not read, and knocks.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Final

from collectors.receivers.base import Delivery
from collectors.receivers.directory import SourceIdentity
from collectors.receivers.intake import Intake
from collectors.spool import Draft, Receipt
from pipeline.model.errors import ServiceAwayError, ThapCanhError
from pipeline.settings.values import CollectSettings, FileInput

_TRY_AGAIN: Final = 0.5
_LOG = logging.getLogger(__name__)


class StoppedError(Exception):
    """The collector stops; what is not stored is read again."""


class FileWorker:
    """A receiver without a port. `work` is one turn; whether the next should come at once."""

    delivery: ClassVar[Delivery] = Delivery.ACKNOWLEDGED
    port: int = 0

    def __init__(
        self, given: FileInput, intake: Intake, settings: CollectSettings, folder: Path
    ) -> None:
        self.given, self.intake, self.settings, self.folder = given, intake, settings, folder
        self.troubles: dict[str, str] = {}
        self.files = 0
        self.said: deque[tuple[str, str]] = deque(maxlen=20)
        self._stop = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name=given.name, daemon=True)
        self._said: dict[str, str] = {}

    @property
    def name(self) -> str:
        return self.given.name

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.check()
        self._thread.start()

    async def stop(self, grace: float) -> None:
        self._stop.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, grace)

    def sweep(self) -> None:
        return

    # What a receiver fills in.

    def check(self) -> None:
        """Raises UsageError for patterns that cannot be used."""

    def work(self, identity: SourceIdentity, now: float) -> bool:
        raise NotImplementedError

    def finish(self) -> None:
        """The thread ends."""

    # What is the same for all.

    def store(self, drafts: Sequence[Draft], cut: int = 0) -> Receipt:
        """Until they are on disk. Raises StoppedError when the collector stops before."""
        assert self._loop is not None
        source = drafts[0].source
        tally = self.intake.counters.of(self.name, source)
        while True:
            if self._stop.is_set():
                raise StoppedError
            doing = asyncio.run_coroutine_threadsafe(
                self.intake.store(self.name, source, drafts), self._loop
            )
            try:
                receipt = doing.result()
            except ServiceAwayError:
                tally.note("pushed_back")
                self._stop.wait(_TRY_AGAIN)
                continue
            size = sum(len(draft.body) for draft in drafts)
            tally.take(len(drafts), size, drafts[-1].received)
            tally.acknowledged += len(drafts)
            if cut:
                tally.note("cut", cut)
            return receipt

    def note_troubles(self, source: str, troubles: dict[str, str]) -> None:
        """Count and log what is new of them."""
        tally = self.intake.counters.of(self.name, source)
        for path, why in troubles.items():
            if self._said.get(path) != why:
                tally.note("unreadable")
                self.say(path, why)
        self._said = self.troubles = dict(troubles)

    def say(self, path: str, why: str) -> None:
        """Into the log, and among the newest that the snapshot shows."""
        self.said.append((path, why))
        _LOG.warning("%s: %s: %s", self.name, path, why)

    def _run(self) -> None:
        unknown = False
        try:
            while not self._stop.is_set():
                identity = self.intake.directory.by_source(self.given.source)
                if identity is None and not unknown:
                    self.intake.knock(self.name, self.given.source, known_by="settings")
                unknown, more = identity is None, False
                if identity is not None:
                    more = self._turn(lambda one=identity: self.work(one, time.monotonic()))  # type: ignore[misc]
                if not more:
                    self._stop.wait(self.settings.poll_seconds)
        finally:
            self.finish()

    def _turn(self, work: Callable[[], bool]) -> bool:
        try:
            return work()
        except StoppedError:
            return False
        except (OSError, ThapCanhError) as error:  # the checkpoint's disk, say: tried again
            self.note_troubles(self.given.source, {str(self.folder): str(error)})
            return False
