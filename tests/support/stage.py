"""A real collector that knows the drill's sources, in a thread of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from collectors.collect import Collector, run_collector
from collectors.receivers.directory import FixedDirectory, SourceIdentity
from pipeline.rehearsal import cast
from pipeline.rehearsal.senders import Targets
from pipeline.settings.values import CollectSettings, Listener

KEYS = {source.id: f"{place:020x}:secret-{place}" for place, source in enumerate(cast.SOURCES)}


def directory() -> FixedDirectory:
    """Every source by its key, and those with a syslog transport by their address."""
    identities = {s.id: SourceIdentity(s.id, s.agency, s.product) for s in cast.SOURCES}
    return FixedDirectory(
        [
            (f"syslog-{source.syslog}", f"{source.address}/32", identities[source.id])
            for source in cast.SOURCES
            if source.syslog
        ],
        {
            KEYS[source.id].partition(":")[0]: (
                KEYS[source.id].partition(":")[2],
                identities[source.id],
            )
            for source in cast.SOURCES
        },
    )


@contextlib.contextmanager
def receiving(
    root: Path, ports: dict[str, int] | None = None
) -> Iterator[tuple[Collector, Targets]]:
    """Started when entered; everything is stored when left. `ports` 0 or missing: any."""
    asked = ports or {}
    listeners = tuple(
        Listener(name=name, kind=kind, port=asked.get(name, 0))
        for name, kind in (
            ("http", "http_bulk"),
            ("syslog-tcp", "syslog_tcp"),
            ("syslog-udp", "syslog_udp"),
        )
    )
    stop, ready = threading.Event(), threading.Event()
    got: list[Collector] = []

    def on_ready(collector: Collector) -> None:
        got.append(collector)
        ready.set()

    def work() -> None:
        settings = CollectSettings(node="n1", listeners=listeners)
        run_collector(settings, directory(), root, stop, ready=on_ready)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(20), "the collector did not start"
    bound = got[0].ports
    try:
        yield (
            got[0],
            Targets(
                f"http://127.0.0.1:{bound['http']}",
                KEYS,
                udp_port=bound["syslog-udp"],
                tcp_port=bound["syslog-tcp"],
            ),
        )
    finally:
        stop.set()
        thread.join(20)
