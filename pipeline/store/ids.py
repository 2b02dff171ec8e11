"""Which event ids the lake holds: exact, in memory, for receipts of the last days.

In: the manifest's files that hold resendable records. Out: for a commit's ids, which are known.
Ids are 16 bytes of a keyed hash, kept as two sorted 64-bit columns: per receipt day a few arrays,
each at least twice as long as the next, so that a look-up is a handful of binary searches.
16 bytes an event: a million resendable events a day cost 160 MB over ten days.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from pipeline.model import events
from pipeline.model.clock import to_micros

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Halves = npt.NDArray[np.uint64]

DAY = 86_400_000_000


def halves(table: pa.Table) -> Halves:
    """The id column as an array of shape (rows, 2), big end first."""
    import numpy as np

    column = table.column(events.ID).combine_chunks()
    if column.null_count:
        raise ValueError("an event without an id")
    raw = column.buffers()[1]
    found = np.frombuffer(raw, dtype=">u8", count=2 * len(column), offset=16 * column.offset)
    return found.astype(np.uint64).reshape(-1, 2)


def repeated(ids: Halves) -> npt.NDArray[np.bool_]:
    """True for each id that stands earlier in the same array."""
    import numpy as np

    order = np.lexsort((np.arange(len(ids)), ids[:, 1], ids[:, 0]))
    sorted_ids = ids[order]
    again = np.zeros(len(ids), dtype=np.bool_)
    again[order[1:]] = (sorted_ids[1:] == sorted_ids[:-1]).all(axis=1)
    return again


def day_of(moment: datetime) -> int:
    return to_micros(moment) // DAY


class KnownIds:
    """The ids by receipt day. `seen` is the manifest number up to which files have been taken in."""

    def __init__(self) -> None:
        self.seen = 0
        self._days: dict[int, list[Halves]] = {}

    def add(self, day: int, ids: Halves) -> None:
        import numpy as np

        arrays = self._days.setdefault(day, [])
        arrays.append(_sorted(ids))
        while len(arrays) > 1 and len(arrays[-2]) < 2 * len(arrays[-1]):
            merged = np.concatenate([arrays.pop(), arrays.pop()])
            arrays.append(_sorted(merged))

    def forget_before(self, day: int) -> None:
        for old in [known for known in self._days if known < day]:
            del self._days[old]

    def known(self, ids: Halves) -> npt.NDArray[np.bool_]:
        import numpy as np

        found = np.zeros(len(ids), dtype=np.bool_)
        for array in self._arrays():
            found |= _contains(array, ids)
        return found

    def __len__(self) -> int:
        return sum(len(array) for array in self._arrays())

    def _arrays(self) -> Iterable[Halves]:
        for arrays in self._days.values():
            yield from arrays


def _sorted(ids: Halves) -> Halves:
    """In order of the first half, without repeats (a compacted file repeats what it replaced)."""
    import numpy as np

    ids = ids[np.lexsort((ids[:, 1], ids[:, 0]))]
    if len(ids) < 2:
        return ids
    fresh = np.ones(len(ids), dtype=np.bool_)
    fresh[1:] = (ids[1:] != ids[:-1]).any(axis=1)
    # Columns one after the other in memory: a search walks the first half only.
    return np.asfortranarray(ids[fresh])


def _contains(array: Halves, ids: Halves) -> npt.NDArray[np.bool_]:
    import numpy as np

    place = np.searchsorted(array[:, 0], ids[:, 0])
    inside = place < len(array)
    safe = np.where(inside, place, 0)
    first = inside & (array[safe, 0] == ids[:, 0]) if len(array) else inside
    found = first & (array[safe, 1] == ids[:, 1]) if len(array) else inside
    # Two ids of the lake may share the first half; then the match can stand further on.
    for row in np.flatnonzero(first & ~found):
        stop = np.searchsorted(array[:, 0], ids[row, 0], side="right")
        found[row] = bool((array[place[row] : stop, 1] == ids[row, 1]).any())
    return found
