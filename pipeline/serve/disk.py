"""The disk under the home: how full, how fast it fills, and the sign by which receivers push back.

In: what `statvfs` says. Out: a share, a forecast, the file ``spool/push_back`` that collectors look for.
`Usage.share` is df's: of what an ordinary user may fill.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from collectors.collect import PUSH_BACK_NAME
from pipeline.model.clock import EPOCH
from pipeline.settings.values import Settings
from pipeline.state.state import State
from pipeline.state.tables.operation import Meta

_OURS: Final = "disk: "  # another reason was written by somebody else, who will take it away
_SAMPLES: Final = "disk"
FOLDERS: Final = ("lake", "spool")
_WINDOW: Final = timedelta(days=7)
_LEAST: Final = timedelta(hours=1)
_BALLAST: Final = 32 << 20


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes; `total` is what may be filled."""

    total: int
    used: int

    @property
    def free(self) -> int:
        return self.total - self.used

    @property
    def share(self) -> float:
        return self.used / self.total if self.total else 1.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """`per_day` bytes of growth; `days` until the share is reached, None where it does not grow;
    `measured` is how long it was looked at."""

    per_day: float
    days: float | None
    measured: timedelta


def usage(folder: Path) -> Usage:
    stat = os.statvfs(folder)
    used = (stat.f_blocks - stat.f_bfree) * stat.f_frsize
    return Usage(used + stat.f_bavail * stat.f_frsize, used)


def push_back(spool: Path, reason: str) -> None:
    """Make the collectors refuse, durably; they look every second."""
    draft = spool / f".{PUSH_BACK_NAME}.new"
    draft.write_text(_OURS + reason)
    draft.rename(spool / PUSH_BACK_NAME)


def lift(spool: Path) -> None:
    """Take our sign away."""
    if pushed_back(spool):
        (spool / PUSH_BACK_NAME).unlink(missing_ok=True)


def pushed_back(spool: Path) -> str:
    """The reason of our sign; empty where there is none."""
    with suppress(OSError):
        text = (spool / PUSH_BACK_NAME).read_text(errors="replace")
        return text.removeprefix(_OURS) if text.startswith(_OURS) else ""
    return ""


def trouble(settings: Settings) -> str:
    """What is wrong with the disk, asked of nobody but the disk; empty where nothing is."""
    return pushed_back(settings.spool)


def sample(
    state: State, seen: Usage, now: datetime, *, which: str = "lake", share: float = 1.0
) -> None:
    """Remember how much of the disk under a folder is used; the samples of the last days are kept, and the
    newest total with the share that may be filled, for who asks the state alone."""
    at, oldest = _seconds(now), _seconds(now - _WINDOW)
    with state.begin() as session:
        row = session.get(Meta, _name(which))
        had = row.value["used"] if row else []
        kept = [one for one in had if oldest < one[0] < at]
        value = {"used": [*kept, [at, seen.used]], "total": seen.total, "share": share}
        session.merge(Meta(name=_name(which), value=value))


def samples(state: State, which: str = "lake") -> list[tuple[int, int]]:
    """(second, bytes used), the oldest first."""
    with state.read() as session:
        row = session.get(Meta, _name(which))
        return [(at, used) for at, used in row.value["used"]] if row else []


def remembered(state: State) -> dict[str, tuple[Usage, Forecast | None]]:
    """By folder, as the newest sample has it: what is used, and when it is full at the present rate. The spool is
    named only where it has a disk of its own."""
    found = {}
    for which in FOLDERS:
        with state.read() as session:
            row = session.get(Meta, _name(which))
        if row is not None and "total" in row.value:
            measured = [(at, used) for at, used in row.value["used"]]
            seen = Usage(row.value["total"], measured[-1][1])
            found[which] = (seen, forecast(measured, seen, row.value["share"]))
    return found


def _name(which: str) -> str:
    return _SAMPLES if which == "lake" else f"{_SAMPLES}:{which}"


def forecast(measured: Sequence[tuple[int, int]], seen: Usage, share: float) -> Forecast | None:
    """The straight line through the samples, drawn on; None while they span less than an hour."""
    if len(measured) < 2 or measured[-1][0] - measured[0][0] < _LEAST.total_seconds():
        return None
    middle = sum(at for at, _ in measured) / len(measured)
    spread = sum((at - middle) ** 2 for at, _ in measured)
    slope = sum((at - middle) * used for at, used in measured) / spread  # bytes a second
    room = max(0.0, share * seen.total - seen.used)
    days = room / slope / 86_400 if slope > 0 else None
    return Forecast(slope * 86_400, days, timedelta(seconds=measured[-1][0] - measured[0][0]))


class Ballast:
    """A file that is let go when the disk is full to the last byte, so that deletions can be written."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ballast"

    def take(self, seen: Usage) -> None:
        """Have it there, if there is room. Small disks have a small one."""
        size = min(_BALLAST, seen.total // 64)
        if self._path.exists() or seen.free < 4 * size:
            return
        with suppress(OSError), self._path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)

    def drop(self) -> bool:
        """Whether there was one."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True


def _seconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(seconds=1)
