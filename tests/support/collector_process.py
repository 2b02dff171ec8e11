"""A collector as a process of its own. ``python collector_process.py ROOT [kill-after-store N [PORTS]]`` prints
its ports; with the second argument it kills itself right after the Nth store, before the answer; with the
third, ``relp=2514,tcp=…``, it listens on those ports, and 127.0.0.1 is q1-fw; the fourth is a folder with
``localhost.pem``, ``localhost.key`` and ``ca.pem``: tcp and relp ask for certificates, sender.q1.example is q1-fw's.
In the environment, ``CLOCK_OFF_BY`` seconds: the clock is wrong; with SIGUSR1 it is set right, by as much as it was off."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.collector import LISTENERS, SOURCE, directory

from collectors.collect import run_collector
from collectors.receivers.directory import FixedDirectory
from collectors.receivers.intake import Intake
from pipeline.settings.values import CollectSettings, Listener


def main(root: str, kill_after: str = "0", ports: str = "", tls: str = "") -> None:
    stop = threading.Event()
    set_clock(int(os.environ.get("CLOCK_OFF_BY", "0")))
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if int(kill_after):
        die_after_store(int(kill_after))
    settings = CollectSettings(
        node="n1", listeners=_on(ports, tls) if ports else LISTENERS, spool_segment_bytes=100_000
    )
    known = (
        FixedDirectory(certificates={"san:sender.q1.example": SOURCE})
        if tls
        else directory(local=bool(ports))
    )
    run_collector(
        settings, known, Path(root), stop,
        ready=lambda c: print(*(f"{k}={v}" for k, v in c.ports.items()), flush=True),
    )  # fmt: skip


def _on(ports: str, tls: str) -> tuple[Listener, ...]:
    wanted = dict(pair.split("=") for pair in ports.split(","))
    listeners = [replace(one, port=int(wanted.get(one.name, 0))) for one in LISTENERS]
    if not tls:
        return tuple(listeners)
    files = {
        "certificate": f"{tls}/localhost.pem", "key": f"{tls}/localhost.key", "client_ca": f"{tls}/ca.pem"
    }  # fmt: skip
    return tuple(replace(one, **files) if one.name in {"tcp", "relp"} else one for one in listeners)


def set_clock(off: int) -> None:
    """The wall clock is off by so many seconds until SIGUSR1."""
    true, wrong = time.time_ns, [off]
    signal.signal(signal.SIGUSR1, lambda *_: wrong.__setitem__(0, 0))
    if off:
        time.time_ns = lambda: true() + wrong[0] * 1_000_000_000
        time.time = lambda: time.time_ns() / 1e9


def die_after_store(times: int) -> None:
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
