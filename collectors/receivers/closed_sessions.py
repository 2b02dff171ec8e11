"""How RELP sessions ended, for the collector that comes after this one.

In: a session's number before its close is answered, or the same with `replay.TOLD`. Out: the newest of them. A
file ``closed_sessions`` in the node's folder, eight bytes a number, little-endian, appended. It is not synced: after
a power cut it may lack the last ones, and then a record that equals the last one of such a session may pass for a
replay.
"""

from __future__ import annotations

import os
from array import array
from pathlib import Path
from typing import Final

NAME: Final = "closed_sessions"
_KEPT: Final = 100_000


def load(folder: Path) -> frozenset[int]:
    """What a collector has noted in this folder of its node, whether it is at work or not."""
    try:
        return frozenset(_numbers(folder / NAME))
    except FileNotFoundError:
        return frozenset()


class ClosedSessions:
    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._count = len(load(folder))
        if self._path.exists():  # a full disk may have torn the last one
            os.truncate(self._path, self._path.stat().st_size // 8 * 8)

    def add(self, session: int) -> None:
        """Raises OSError."""
        if self._count >= 2 * _KEPT:
            self._shorten()
        descriptor = os.open(
            self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640
        )
        try:
            os.write(descriptor, session.to_bytes(8, "little"))
        finally:
            os.close(descriptor)
        self._count += 1

    def _shorten(self) -> None:
        newest = _numbers(self._path)[-_KEPT:]
        short = self._path.with_suffix(".new")
        short.write_bytes(newest.tobytes())
        short.rename(self._path)
        self._count = len(newest)


def _numbers(path: Path) -> array[int]:
    data = path.read_bytes()
    return array("Q", data[: len(data) // 8 * 8])
