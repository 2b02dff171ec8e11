"""A collector that follows files, as a process of its own: ``python tail_process.py ROOT [kill-after N]``. Prints
``ready``; with the second argument it kills itself right after the Nth store, before the checkpoint."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from support.collector import directory, file_input
from support.collector_process import die_after_store

from collectors.collect import run_collector
from pipeline.settings.values import CollectSettings

SETTLE = 0.5


def main(root: str, kill_after: str = "0") -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if int(kill_after):
        die_after_store(int(kill_after))
    settings = CollectSettings(
        node="n1", listeners=(), files=(file_input(Path(root)),), poll_seconds=0.02,
        settle_seconds=SETTLE, spool_segment_bytes=100_000,
    )  # fmt: skip
    run_collector(
        settings, directory(), Path(root), stop, ready=lambda _: print("ready", flush=True)
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
