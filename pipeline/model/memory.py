"""The garbage collector, kept from walking over what is all alive.

In: a stretch of work that makes many values and drops none. Out: the same work without collections; they
go on afterwards, if they were on before.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Use around a batch: the collector would walk every value of it again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
