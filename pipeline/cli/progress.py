"""How long work shows where it is: a bar on a terminal, nothing where output goes to a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(unit: str) -> Iterator[Callable[[int, int], None]]:
    """Gives what is called with how much is done, and how much there is (0: unknown)."""
    from tqdm import tqdm

    with tqdm(
        unit=unit, unit_scale=True, disable=not sys.stderr.isatty(), file=sys.stderr
    ) as shown:

        def progress(done: int, total: int) -> None:
            shown.total = total or None
            shown.update(done - shown.n)

        yield progress
