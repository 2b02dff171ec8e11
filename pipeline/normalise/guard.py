"""What was being normalised is marked beside the role's lock, so that who comes after a death knows.

Before a batch its receipts are written to ``run/attempt-<node>``, and the file goes when they are settled::

    {"first": 20001, "last": 40000, "deaths": 0}

A mark that is found at the start belongs to a process that died or was killed over these receipts.
They, and whatever comes in the next minutes, are then normalised in processes apart (`apart`), where a
record that kills or hangs is found and refused. Should the process itself die again over them (it
does more than normalise), the range shrinks from death to death, and a single receipt that went with
`GIVE_UP` processes is refused unread. Marks are for the death of a process; they are not fsynced.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.model.records import RawRecord
from pipeline.normalise.apart import PATIENCE, SPLIT, Beat, normalise_apart
from pipeline.normalise.context import Context, Normalised
from pipeline.normalise.normaliser import normalise_safely
from pipeline.normalise.product import Product

GIVE_UP: Final = 8
CAREFUL_SECONDS: Final = 600.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The receipts that a process was at, and how many died over the first of them."""

    first: int
    last: int
    deaths: int = 0


def _silent() -> None:
    return


class Guard:
    """One a process. `folder` None: no marks. `careful`: everything apart, from the beginning."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        careful: bool = False,
        patience: float = PATIENCE,
        beat: Beat = _silent,
    ) -> None:
        self._folder, self._patience, self._beat = folder, patience, beat
        self._careful_until = math.inf if careful else 0.0
        self._left: dict[str, Attempt | None] = {}

    def limit(self, node: str, after: int, most: int) -> int:
        """How many receipts of the node behind `after` may be tried at once."""
        left = self._leftover(node, after)
        if left is None:
            return most
        span = left.last - after
        return min(most, span if left.deaths < 2 else max(1, span // SPLIT))

    def given_up(self, node: str, after: int) -> int:
        """How many processes died over the next receipt alone, if it is to be refused unread; else 0."""
        left = self._leftover(node, after)
        alone = left is not None and left.last == after + 1
        return left.deaths if left is not None and alone and left.deaths >= GIVE_UP else 0

    @contextlib.contextmanager
    def attempt(self, node: str, first: int, last: int) -> Iterator[None]:
        """Marked while it lasts. An exception is no death; running out of memory is, near enough."""
        left = self._leftover(node, first - 1)
        self._write(node, Attempt(first, last, left.deaths if left else 0))
        try:
            yield
        except MemoryError:
            raise
        except BaseException:
            self._forget(node)
            raise
        self._left[node] = None
        self._forget(node)

    def normalise(
        self, product: Product, records: Sequence[RawRecord], context: Context
    ) -> Normalised:
        """In this process, or while there is reason to be careful in another."""
        if time.monotonic() >= self._careful_until:
            return normalise_safely(product, records, context)
        made = normalise_apart(product, records, context, patience=self._patience, beat=self._beat)
        found = [letter.sequence for letter in made.dead if letter.cause == "poison"]
        if found:
            self._be_careful()
            log.error(
                "records kill or hang the normaliser: refused, their bytes are dead letters",
                extra={
                    "sources": sorted({letter.source for letter in made.dead})[:20],
                    "node": context.node,
                    "sequences": found[:20],
                },
            )
        return made

    def _be_careful(self) -> None:
        self._careful_until = max(self._careful_until, time.monotonic() + CAREFUL_SECONDS)

    def _leftover(self, node: str, after: int) -> Attempt | None:
        """The mark of a dead process over the receipts behind `after`."""
        if node not in self._left:
            found = self._read(node)
            self._left[node] = found
            if found is not None and found.first == after + 1:
                self._be_careful()
                log.error(
                    "a process died over receipts: they are looked at one by one, apart",
                    extra={"node": node, "first": found.first, "last": found.last, "deaths": found.deaths},
                )  # fmt: skip
        left = self._left[node]
        return left if left is not None and left.first == after + 1 else None

    def _mark(self, node: str) -> Path | None:
        return self._folder / f"attempt-{node}" if self._folder is not None else None

    def _read(self, node: str) -> Attempt | None:
        """With the death that it tells of counted in."""
        path = self._mark(node)
        if path is None:
            return None
        try:
            found = json.loads(path.read_bytes())
            return Attempt(int(found["first"]), int(found["last"]), int(found["deaths"]) + 1)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # none, or killed in the middle of writing it: before anything was tried

    def _write(self, node: str, attempt: Attempt) -> None:
        path = self._mark(node)
        if path is None:
            return
        line = {"first": attempt.first, "last": attempt.last, "deaths": attempt.deaths}
        with contextlib.suppress(OSError):  # a full disk: a death now would be met unprepared
            path.write_text(json.dumps(line))

    def _forget(self, node: str) -> None:
        path = self._mark(node)
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
