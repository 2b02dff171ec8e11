"""The collector: all listeners of a node on one event loop and one spool.

In: the settings of `collect`, a directory of sources, the spool's root. Out: records in
``<root>/<node>``, a snapshot of counters. It waits for nobody: a stopped normaliser only fills the spool.
`run_collector` is the role *collect*; `Collector` is the same inside a loop that somebody else runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from collectors.groups import family
from collectors.receivers import closed_sessions
from collectors.receivers.base import Limits, Receiver
from collectors.receivers.closed_sessions import ClosedSessions
from collectors.receivers.counters import Knock
from collectors.receivers.directory import SourceDirectory
from collectors.receivers.evtx_file import EvtxFile
from collectors.receivers.file_tail import FileTail
from collectors.receivers.file_worker import FileWorker
from collectors.receivers.http_bulk import HttpBulk
from collectors.receivers.intake import Intake
from collectors.receivers.registered import REFRESH_EVERY
from collectors.receivers.relp import Relp
from collectors.receivers.replay import Tails
from collectors.receivers.rest_poll import RestPoll
from collectors.receivers.shared_requests import SharedRequests
from collectors.receivers.split_requests import SplitRequests
from collectors.receivers.syslog_tcp import SyslogTcp
from collectors.receivers.syslog_udp import SyslogUdp
from collectors.spool import SpoolLimits, SpoolReader, SpoolWriter
from collectors.spool.segments import node_folder
from pipeline.model.errors import FaultsError, ThapCanhError, UsageError
from pipeline.model.records import RawRecord
from pipeline.settings.values import CollectSettings, FileInput, Listener

PUSH_BACK_NAME: Final = "push_back"
"""A file of this name in the spool's root makes all collectors refuse; its text is the reason."""
_STOP_WITHIN: Final = 1.5
_TAIL_RECORDS: Final = 100_000  # read at start, so that replays are recognised
_LAST_REQUESTS: Final = 16
_LOG = logging.getLogger(__name__)


def receiver_of(listener: Listener, intake: Intake) -> Receiver:
    """The receiver of the listener's kind."""
    match listener.kind:
        case "syslog_udp":
            return SyslogUdp(listener, intake)
        case "syslog_tcp":
            return SyslogTcp(listener, intake)
        case "relp":
            return Relp(listener, intake)
        case "http_bulk":
            return HttpBulk(listener, intake)
    raise UsageError("no such kind of receiver", where=f"collect.listeners {listener.name}")


def file_worker_of(
    given: FileInput, intake: Intake, settings: CollectSettings, folder: Path
) -> FileWorker:
    """The receiver of the input's kind."""
    kinds: dict[str, type[FileWorker]] = {
        "file_tail": FileTail,
        "evtx_file": EvtxFile,
        "rest_poll": RestPoll,
    }
    return kinds[given.kind](given, intake, settings, folder)


def spool_limits(settings: CollectSettings) -> SpoolLimits:
    return SpoolLimits(
        segment_bytes=settings.spool_segment_bytes,
        spool_bytes=settings.spool_max_bytes,
        free_bytes=settings.free_bytes,
    )


class Collector:
    """`start`, then `tick` every second, then `stop`; all on one event loop."""

    def __init__(
        self,
        settings: CollectSettings,
        directory: SourceDirectory,
        spool_root: Path,
        *,
        limits: Limits | None = None,
        spool: SpoolLimits | None = None,
        several: bool = False,
    ) -> None:
        """Takes the node's folder: raises SpoolBusyError when another process has it. `several`: other processes of
        the same collector take requests by HTTP as well."""
        self.settings, self._root = settings, spool_root
        self.settled_upto = 0  # of this node, as the heartbeat reads it in the state
        self._spool = SpoolWriter(spool_root, settings.node, spool or spool_limits(settings))
        self.intake = Intake(self._spool, directory, limits or Limits.of(settings))
        self.receivers: list[Receiver] = [
            receiver_of(listener, self.intake) for listener in settings.listeners
        ]
        folder = node_folder(spool_root, settings.node)
        self.files = [file_worker_of(one, self.intake, settings, folder) for one in settings.files]
        self.receivers += self.files
        if any(listener.kind == "relp" for listener in settings.listeners):
            self.intake.tails = _tails(spool_root, settings.node)
        if any(listener.kind == "http_bulk" for listener in settings.listeners):
            relatives = family(spool_root, settings.node)[:-1]
            shared = SharedRequests(spool_root, settings.node, relatives, several=several)
            shared.begin(self._spool.knows)
            self.intake.shared = shared
            last = _last_requests(spool_root, settings.node, self._spool)
            self.intake.split = SplitRequests(last, time.monotonic())

    @property
    def ports(self) -> dict[str, int]:
        """What each listener is bound to, by name."""
        return {receiver.name: receiver.port for receiver in self.receivers if receiver.port}

    async def start(self) -> None:
        """Every listener, or none: all faults are reported together."""
        faults = []
        for receiver in self.receivers:
            try:
                await receiver.start()
            except ThapCanhError as error:
                faults.append(error)
        if faults:
            await self.stop()
            raise FaultsError("the collector cannot listen", faults)

    def tick(self) -> None:
        """Sweep the receivers and look for the push-back file."""
        for receiver in self.receivers:
            receiver.sweep()
        self.intake.push_back = _push_back(self._root)
        self.intake.shares.settled(self.settled_upto)
        self.intake.hands.look()
        if self.intake.shared is not None:
            self.intake.shared.sweep()

    async def stop(self) -> None:
        """Within two seconds: what has arrived is stored, then the folder is let go."""
        self.intake.stopping = True
        await asyncio.gather(
            *(receiver.stop(_STOP_WITHIN) for receiver in self.receivers), return_exceptions=True
        )
        await asyncio.to_thread(self._spool.close)

    def snapshot(self) -> dict[str, Any]:
        """Plain values for metrics, the pulse and `thapcanh collect status`."""
        deliveries = {one.name: one.delivery.value.replace(" ", "_") for one in self.receivers}
        return {
            "node": self.settings.node,
            "last": self._spool.last,
            "spool_bytes": self._spool.used,
            "push_back": self.intake.push_back,
            "waiting_bytes": self.intake.shares.held(),
            "damaged": [list(span) for span in self._spool.damaged],
            "ports": self.ports,
            "files": [
                {
                    "input": one.name,
                    "source": one.given.source,
                    "files": one.files,
                    "troubles": dict(one.troubles),
                    "said": list(one.said),
                }
                for one in self.files
            ],
            "counters": [
                one | {"delivery": deliveries.get(one["receiver"], "")}
                for one in self.intake.counters.snapshot()
            ],
        }

    def take_knocks(self) -> Sequence[Knock]:
        """Unknown senders since the last call."""
        return self.intake.knocks.take()


Heartbeat = Callable[[Collector], None]


def run_collector(
    settings: CollectSettings,
    directory: SourceDirectory,
    spool_root: Path,
    stop: threading.Event,
    *,
    heartbeat: Heartbeat | None = None,
    ready: Heartbeat | None = None,
    every: float = 1.0,
    several: bool = False,
) -> None:
    """Collect until `stop` is set. `heartbeat` is called about every second, in a thread that may wait
    for the state without holding up a record; `ready` once, when all listeners are bound."""
    collector = Collector(settings, directory, spool_root, several=several)
    asyncio.run(_run(collector, stop, heartbeat, ready, every))


async def _run(
    collector: Collector,
    stop: threading.Event,
    heartbeat: Heartbeat | None,
    ready: Heartbeat | None,
    every: float,
) -> None:
    await collector.start()
    _LOG.info("collecting on %s", collector.ports)
    aside = threading.Thread(
        target=_keep_in_touch,
        args=(collector, stop, heartbeat, every),
        name="register",
        daemon=True,
    )
    aside.start()
    due = 0.0
    try:
        if ready:
            ready(collector)
        while not stop.is_set():
            if time.monotonic() >= due:
                due = time.monotonic() + 1
                collector.tick()
            await asyncio.sleep(0.05)
    finally:
        await collector.stop()


def _keep_in_touch(
    collector: Collector, stop: threading.Event, heartbeat: Heartbeat | None, every: float
) -> None:
    """Read the register again and report, beside the loop; a failure is told, and tried again."""
    due = time.monotonic() + REFRESH_EVERY
    while not stop.is_set():
        try:
            if time.monotonic() >= due:
                due = time.monotonic() + REFRESH_EVERY
                collector.intake.directory.refresh()
            if heartbeat:
                heartbeat(collector)
        except Exception:  # noqa: BLE001 - collecting goes on whatever the register does
            _LOG.warning("the collector could not reach the register", exc_info=True)
        stop.wait(every)


def _tails(root: Path, node: str) -> Tails:
    """As earlier lives of the collector left them, in whichever group its listeners were."""
    tails, lives = Tails(ClosedSessions(node_folder(root, node)).add), family(root, node)
    ended = frozenset[int]().union(*(closed_sessions.load(node_folder(root, one)) for one in lives))
    for one in lives:
        tails.recover(_newest(root, one), ended)
    return tails


def _newest(root: Path, node: str) -> Iterator[RawRecord]:
    """The last records of the spool, as far as they can be read."""
    with SpoolReader(root, node) as reader:
        yield from reader.readable(reader.durable() - _TAIL_RECORDS)


def _last_requests(
    root: Path, node: str, spool: SpoolWriter
) -> Iterator[tuple[bytes, list[RawRecord]]]:
    """Those that senders may have no answer to, as far as they can be read."""
    with SpoolReader(root, node) as reader:
        for request, first, count in spool.newest(_LAST_REQUESTS):
            with contextlib.suppress(ThapCanhError):
                if count <= _TAIL_RECORDS and len(found := reader.read(first - 1, count)) == count:
                    yield request, found


def _push_back(root: Path) -> str:
    with contextlib.suppress(OSError):
        return (root / PUSH_BACK_NAME).read_text(errors="replace").strip() or "told to push back"
    return ""
