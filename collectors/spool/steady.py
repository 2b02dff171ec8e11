"""The spool's own clock: one that a change of the machine's clock does not move.

In: a node's folder. Out: microseconds that begin as those since 1970 and then go on with the machine's uptime. So a
request of a minute ago is a minute old although the clock was set by a day in between, and the collector killed. A
file ``clock`` in the folder holds the boot it is of and what is added to its uptime::

    6b2c8f1e-5a0d-4c58-9d58-5a3c1f1f2f7e 1795470000000000

After a boot it begins anew from the machine's clock. Whoever cannot read or write the file has the machine's clock.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Final

NAME: Final = "clock"
BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class SteadyClock:
    """The writer's: makes the file when there is none of this boot."""

    def __init__(self, folder: Path) -> None:
        self._offset = _kept(folder)
        if self._offset is None:
            self._offset = _wall() - _uptime()
            fresh = folder / f"{NAME}.new"
            with contextlib.suppress(OSError):
                fresh.write_text(f"{BOOT.read_text().strip()} {self._offset}\n")
                fresh.replace(folder / NAME)

    def now(self) -> int:
        assert self._offset is not None
        return self._offset + _uptime()


def steady_now(folder: Path) -> int:
    """The same for who only looks."""
    offset = _kept(folder)
    return _wall() if offset is None else offset + _uptime()


def _kept(folder: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        boot, offset = (folder / NAME).read_text().split()
        if boot == BOOT.read_text().strip():
            return int(offset)
    return None


def _uptime() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def _wall() -> int:
    return time.time_ns() // 1000
