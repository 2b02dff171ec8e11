"""``python poisoned.py WORDS…``: the command `thapcanh`, with a format in which a word of a line kills the
process (KILL-ME), hangs it in C where no signal is heard (HANG-ME), or takes all its memory (EAT-ME)."""

from __future__ import annotations

import collections
import itertools
import os
import signal
from collections.abc import Sequence
from typing import Any

from collectors.formats.any_line import any_line
from collectors.formats.parsed import Format, Parsed
from pipeline.normalise import guard, product

PATIENCE = 1.0


def poisoned() -> Format:
    plain = any_line()

    def parse(lines: Sequence[Any]) -> Parsed:
        for line in lines:
            text = line if isinstance(line, str) else (line or b"").decode("utf-8", "replace")
            if "KILL-ME" in text:
                os.kill(os.getpid(), signal.SIGKILL)
            if "HANG-ME" in text:
                collections.deque(itertools.repeat(0), maxlen=0)
            if "EAT-ME" in text:
                raise MemoryError
        return plain(lines)

    return parse


def install() -> None:
    """From now on, in this process and its forks."""
    product.any_line = poisoned  # type: ignore[attr-defined]
    assert guard.Guard.__init__.__kwdefaults__ is not None
    guard.Guard.__init__.__kwdefaults__["patience"] = PATIENCE


if __name__ == "__main__":
    from pipeline.cli.main import run

    install()
    run()
