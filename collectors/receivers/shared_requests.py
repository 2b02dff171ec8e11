"""Requests by HTTP that come again to another process of the same collector: behind a balancer over listener groups, or
after a listener has changed its group.

In: a request's hash, before it is stored. Out: whether it is ours to store, or how many records another process has
stored of it. Where several processes take requests, each claims a request before it stores it: by a symbolic link
that nobody can make twice, and that outlives a kill ::

    <spool>/.requests/6b2c8f1e-29871/5f0c…e2 -> collect-1.http2

(a folder for ten minutes of the machine's uptime; claims hold for ten to twenty). Who finds another's claim looks into
that one's spool. What is not there, it may still store, or may have been killed over: then the sender is told to
come again (503), until it is there or the other one, begun again, has given back what it did not store. So a request
is stored once whichever of them it comes to, and however often one is killed. Processes on other machines do not know
of each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from collectors.spool import SpoolIOError
from collectors.spool.requests import requests_of
from collectors.spool.segments import node_folder
from collectors.spool.steady import BOOT

NAME: Final = ".requests"
WINDOW: Final = 600
_LOOKS: Final = 10
_LOOK_AGAIN: Final = 0.1
_SWEEP_EVERY: Final = 60.0


class SharedRequests:
    """`several`: others take requests at the same time. `relatives` are nodes of the same collector."""

    def __init__(self, root: Path, node: str, relatives: Iterable[str], *, several: bool) -> None:
        self._root, self._node, self._several = root, node, several
        self._earlier: dict[bytes, int] = {}
        for one in relatives:
            self._earlier |= requests_of(node_folder(root, one), WINDOW)
        self._earlier_until = time.monotonic() + WINDOW
        self._swept = 0.0

    def begin(self, stored: Callable[[bytes], bool]) -> None:
        """Give back what an earlier life of this process claimed and did not store."""
        for folder in self._folders() if self._several else ():
            with contextlib.suppress(
                FileNotFoundError
            ):  # too old: another process is sweeping it away
                for claim in list(folder.iterdir()):
                    self._settle(claim, stored)

    def _settle(self, claim: Path, stored: Callable[[bytes], bool]) -> None:
        with contextlib.suppress(OSError, ValueError):
            if str(claim.readlink()) == self._node and not stored(bytes.fromhex(claim.name)):
                claim.unlink()

    async def elsewhere(self, request: bytes) -> int:
        """How many records of it another process has stored; 0: it is ours to store, and claimed. Raises SpoolIOError
        while that cannot be told."""
        if self._earlier and time.monotonic() > self._earlier_until:
            self._earlier = {}
        if count := self._earlier.get(request, 0):
            return count
        for _ in range(_LOOKS if self._several else 0):
            owner = self._claim(request.hex())
            if owner in {"", self._node}:
                return 0
            found = await asyncio.to_thread(requests_of, node_folder(self._root, owner), WINDOW)
            if count := found.get(request, 0):
                return count
            await asyncio.sleep(_LOOK_AGAIN)
        if self._several:
            raise SpoolIOError(
                "another process of the collector has this request in hand", remedy="Try again"
            )
        return 0

    def give_back(self, request: bytes) -> None:
        """It could not be stored."""
        for folder in self._buckets() if self._several else ():
            claim = folder / request.hex()
            with contextlib.suppress(OSError):
                if str(claim.readlink()) == self._node:
                    claim.unlink()

    def sweep(self) -> None:
        """Now and then: claims that are too old go."""
        if not self._several or time.monotonic() - self._swept < _SWEEP_EVERY:
            return
        self._swept, kept = time.monotonic(), self._buckets()
        old = [one for one in self._folders() if one not in kept]
        if old:
            threading.Thread(target=_remove, args=(old,), daemon=True).start()

    def _claim(self, name: str) -> str:
        """Who has it; nobody if it is ours now."""
        now, before = self._buckets()
        for folder in (now, before):
            with contextlib.suppress(OSError):
                return str((folder / name).readlink())
        try:
            now.mkdir(parents=True, exist_ok=True)
            (now / name).symlink_to(self._node)
        except FileExistsError:
            with contextlib.suppress(OSError):
                return str((now / name).readlink())
            return self._claim(name)  # given back in this moment
        except OSError:  # a full disk, where the spool takes nothing either
            return ""
        return ""

    def _buckets(self) -> tuple[Path, Path]:
        boot = BOOT.read_text().strip()[:8]
        number = int(time.clock_gettime(time.CLOCK_BOOTTIME)) // WINDOW
        base = self._root / NAME
        return base / f"{boot}-{number}", base / f"{boot}-{number - 1}"

    def _folders(self) -> Iterator[Path]:
        with contextlib.suppress(FileNotFoundError):
            yield from list((self._root / NAME).iterdir())


def _remove(folders: list[Path]) -> None:
    for one in folders:
        shutil.rmtree(one, ignore_errors=True)
