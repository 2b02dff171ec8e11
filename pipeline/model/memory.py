"""Memory of batches: the garbage collector kept from walking over what is all alive, and what one batch freed kept
for the next.

In: a stretch of work that makes many values and drops none. Out: the same work without collections; they
go on afterwards, if they were on before.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

KEPT: Final = 256 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_MMAP_MOST: Final = 32 << 20  # glibc refuses more


def keep_memory() -> None:
    """Arrow's allocator (mimalloc) keeps what one batch freed for the next, a second long, and malloc `KEPT` bytes:
    asking the system for it anew cost a tenth of the time. To be called before pyarrow is first imported."""
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "1000")
    with suppress(OSError, AttributeError):  # another C library has no such thing
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_TRIM_THRESHOLD, KEPT)
        libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_MOST)


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
