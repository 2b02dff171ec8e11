"""A collector as a process of its own. ``python collector_process.py ROOT [kill-after-store N]`` prints
its http port; with the second argument it kills itself right after the Nth store, before the answer."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from support.collector import LISTENERS, directory

from collectors.collect import run_collector
from collectors.receivers.intake import Intake
from pipeline.settings.values import CollectSettings


def main(root: str, kill_after: str = "0") -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if int(kill_after):
        _die_after_store(int(kill_after))
    settings = CollectSettings(node="n1", listeners=LISTENERS, spool_segment_bytes=100_000)
    run_collector(
        settings, directory(), Path(root), stop,
        ready=lambda c: print(*(f"{k}={v}" for k, v in c.ports.items()), flush=True),
    )  # fmt: skip


def _die_after_store(times: int) -> None:
    store, left = Intake.store, [times]

    async def store_and_die(*arguments: Any) -> Any:
        receipt = await store(*arguments)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return receipt

    Intake.store = store_and_die  # type: ignore[method-assign]


if __name__ == "__main__":
    main(*sys.argv[1:])
