"""How far the player has come, durably: a killed one goes on where it was.

In the file, one JSON object::

    {"script": "7/2026-11-23T17:00:00+00:00/24000", "burst": 12, "request": 3}

All requests of the bursts before `burst` are acknowledged, and of `burst` those before `request`.
`request` -1 says that the burst's syslog noise is still to be sent.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from pipeline.model.errors import DamagedError
from pipeline.rehearsal.script import Script

NOISE_FIRST = -1


@dataclass(frozen=True, slots=True)
class Position:
    """A place in one script's deliveries."""

    script: str
    burst: int = 0
    request: int = NOISE_FIRST


class Progress(Protocol):
    """Where a position is kept. `save` returns when it is durable."""

    def load(self) -> Position | None: ...

    def save(self, position: Position) -> None: ...


class FileProgress:
    """A position in a file: written beside it, flushed, renamed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Position | None:
        try:
            return Position(**json.loads(self._path.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise DamagedError(
                "the rehearsal's position cannot be read",
                where=str(self._path),
                remedy="thapcanh rehearse --clean, then begin again",
            ) from error

    def save(self, position: Position) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(asdict(position), file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class MemoryProgress:
    """A position that lasts as long as the process: for tests."""

    def __init__(self, position: Position | None = None) -> None:
        self.position = position

    def load(self) -> Position | None:
        return self.position

    def save(self, position: Position) -> None:
        self.position = position


def name_of(script: Script) -> str:
    """What tells one script from another."""
    return f"{script.seed}/{script.start.isoformat()}/{script.records}"
