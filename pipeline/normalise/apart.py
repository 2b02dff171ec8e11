"""As `normalise_safely`, in a process apart: a record that kills or hangs its process is found there.

In: a batch. Out: what the normaliser makes of it, with each record that killed its process (a fault in a
native library, memory without end) or did not finish (a loop that no signal interrupts) dead-lettered as
`poison`, its bytes kept. The caller's process comes to no harm, save the time: a batch whose process
fell is cut into sixteen parts, and these again, until records stand alone.

    20,000 ─▶ falls ─▶ 16 × 1,250, one falls ─▶ 16 × 79, one falls ─▶ 16 × 5, one falls ─▶ 5 × 1: poison

How long a record may take is counted in processor time, so that a busy machine condemns nobody.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import signal
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from multiprocessing.connection import Connection
from typing import Any, Final

from pipeline.model.errors import ServiceAwayError
from pipeline.model.records import DeadLetter, RawRecord
from pipeline.normalise.context import Context, Normalised
from pipeline.normalise.normaliser import joined, normalise_safely
from pipeline.normalise.product import Product

SPLIT: Final = 16
PATIENCE: Final = 10.0
"""Seconds of processor time that any batch gets; a thousand records get one more."""
_ASLEEP: Final = 6.0  # how many times as long a process may take that uses no processor
_LOOK: Final = 0.5
_DIE_WITH_PARENT: Final = 1  # prctl's PR_SET_PDEATHSIG

Beat = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Fell:
    """How a process ended that gave no answer. `outside`: another's signal may have been the cause."""

    how: str
    outside: bool = False


def _silent() -> None:
    return


def normalise_apart(
    product: Product,
    records: Sequence[RawRecord],
    context: Context,
    *,
    patience: float = PATIENCE,
    beat: Beat = _silent,
) -> Normalised:
    """`beat` is called every half second of waiting. Raises ServiceAwayError if no process can be had."""
    if not records:
        return Normalised()
    made = _attempt(product, records, context, patience, beat)
    if isinstance(made, Normalised):
        return made
    if len(records) == 1:
        if (
            made.outside
        ):  # the system's want of memory kills whom it likes: ask the record once more
            made = _attempt(product, records, context, patience, beat)
            if isinstance(made, Normalised):
                return made
        return Normalised({}, (poison(records[0], context.agency_of(records[0]), made.how),), 0)
    size = -(-len(records) // SPLIT)
    return reduce(
        joined,
        (
            normalise_apart(
                product, records[place : place + size], context, patience=patience, beat=beat
            )
            for place in range(0, len(records), size)
        ),
    )


def poison(record: RawRecord, agency: str, how: str) -> DeadLetter:
    return DeadLetter(
        record.sequence, record.source, agency, "poison", f"the normaliser {how}"[:500],
        record.received, body=record.body,
    )  # fmt: skip


def _attempt(
    product: Product,
    records: Sequence[RawRecord],
    context: Context,
    patience: float,
    beat: Beat,
) -> Normalised | _Fell:
    seconds = patience + len(records) / 1_000
    fork = multiprocessing.get_context("fork")  # it has the compiled products already
    answer, say = fork.Pipe(duplex=False)
    child = fork.Process(
        target=_work, args=(say, os.getpid(), seconds, product, records, context), daemon=True
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
            child.start()
    except OSError as error:
        raise ServiceAwayError(
            "no process can be started to read records in", got=str(error),
            remedy="see the limits on memory and processes (ulimit -u, free)",
        ) from error  # fmt: skip
    say.close()
    try:
        return _answer(answer, child, seconds * _ASLEEP, beat)
    finally:
        child.kill()
        child.join()
        child.close()
        answer.close()


def _answer(answer: Connection, child: Any, seconds: float, beat: Beat) -> Normalised | _Fell:
    limit = time.monotonic() + seconds
    while not answer.poll(_LOOK):
        beat()
        if time.monotonic() > limit:
            return _Fell(f"did not finish within {seconds:.0f} s")
    try:
        made: Normalised | str = answer.recv()
    except (EOFError, OSError):
        child.join()
        if child.exitcode == -signal.SIGXCPU:
            return _Fell("did not finish: it used up its processor time")
        if child.exitcode < 0:
            name = signal.Signals(-child.exitcode).name
            return _Fell(f"was killed by it ({name})", outside=name == "SIGKILL")
        return _Fell(f"ended on it with code {child.exitcode}")
    return _Fell(made) if isinstance(made, str) else made


def _work(
    say: Connection,
    parent: int,
    seconds: float,
    product: Product,
    records: Sequence[RawRecord],
    context: Context,
) -> None:
    """In the child. Its locks are its parent's, so it must not outlive it, however it loops."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    most = max(1, round(seconds))
    soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
    try:
        say.send(normalise_safely(product, records, context))
    except MemoryError:
        say.send("ran out of memory on it")
