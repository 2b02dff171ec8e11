"""The requests that a node has stored lately, for another process: one that may get the same request again.

In: the node's folder. Out: request → how many records it brought, of the last `window` seconds, as far as it is durable.
Nothing is written, and no record is read: sealed segments say it in their footers, of the open one the batches' headers.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from collectors.spool import layout, segments
from collectors.spool.steady import steady_now

_TRIES: Final = 5


def requests_of(folder: Path, window: float) -> dict[bytes, int]:
    """Empty for a folder that is gone."""
    oldest = steady_now(folder) - int(window * 1e6)
    for _ in range(_TRIES):
        found: dict[bytes, int] = {}
        try:
            for segment in reversed(segments.segments(folder)):
                if _take(segment.path, found) < oldest:
                    break
        except FileNotFoundError:  # sealed, and so renamed, in this moment
            continue
        return found
    return {}


def _take(path: Path, found: dict[bytes, int]) -> int:
    """When it was sealed, or now."""
    mark = segments.read_durable(path.parent)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        head = layout.unpack_head(os.pread(descriptor, layout.HEAD.size, 0))
        if head is None:
            return steady_now(path.parent)
        footer = segments.read_footer(descriptor, head.salt)
        if footer is not None:
            found |= {one.request: one.count for one in footer.requests}
            return footer.sealed
        position = layout.HEAD.size
        end = mark.offset if mark is not None and mark.segment == head.first else position
        while position < end:
            header = os.pread(descriptor, layout.BATCH.size, position)
            batch = layout.unpack_batch(header, 0, head.salt, position)
            if batch is None:
                break
            if batch.request != layout.NO_REQUEST:
                found[batch.request] = batch.records
            position = batch.end
    finally:
        os.close(descriptor)
    return steady_now(path.parent)
