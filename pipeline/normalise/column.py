"""A raw field's values for all rows that have it, and what a converter makes of them.

In: a list, a tuple or an Arrow array of values as they came. Out: Arrow text, with null for what stands for nothing,
worked out once for all who ask. Invariant: as many rows come out as went in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

import numpy as np

from pipeline.normalise.raw import text_array
from pipeline.normalise.types import Array

_NOTHING: Final = frozenset[str]()


@dataclass(slots=True)
class Column:
    """Values of one raw field: a list or tuple, or an Arrow array of text. `received` gives the
    microseconds of receipt of each of the rows; `zone` is empty where the source declared none; `empty`
    are the texts that stand for nothing. With a `separator` the values are tuples of parts, to be joined."""

    values: Any
    received: Callable[[], Sequence[int]]
    zone: str = ""
    empty: frozenset[str] = _NOTHING
    separator: str | None = None
    _texts: dict[frozenset[str], Array] = field(default_factory=dict)

    @property
    def text(self) -> Array:
        """As text, with null for what stands for nothing; worked out once for all who ask."""
        texts = self._texts
        if self.empty not in texts:
            if _NOTHING not in texts:
                texts[_NOTHING] = self._whole()
            texts[self.empty] = without(texts[_NOTHING], self.empty)
        return texts[self.empty]

    def _whole(self) -> Array:
        if self.separator is None:
            return text_array(self.values)
        join = self.separator.join
        return text_array(
            [None if None in parts else join(map(str, parts)) for parts in self.values]
        )

    def without(self, empty: frozenset[str]) -> Column:
        """The same values, other texts standing for nothing."""
        return self if empty == self.empty else replace(self, empty=empty)

    def part(self, places: Sequence[int], received: Callable[[], Sequence[int]]) -> Column:
        """Some of the values."""
        values = self.values
        chosen = (
            [values[i] for i in places] if isinstance(values, tuple | list) else values.take(places)
        )
        return Column(chosen, received, self.zone, self.empty, self.separator)


@dataclass(slots=True)
class Converted:
    """`columns` by target; `bad` are (index, remark); `assumed` marks rows whose zone was assumed."""

    columns: dict[str, Array]
    bad: list[tuple[int, str]] = field(default_factory=list)
    assumed: Array | None = None


Converter = Callable[[Column], Converted]


@cache
def _hollow(empty: frozenset[str]) -> tuple[int, Array]:
    """Texts that stand for nothing: the bytes of the longest, and all of them."""
    from pipeline.normalise.arrow import pa

    return max(len(text.encode()) for text in empty), pa.array(sorted(empty), pa.string())


def without(array: Array, empty: frozenset[str]) -> Array:
    """Null where one of the texts stands. They are short, and most columns hold nothing as short."""
    from pipeline.normalise.arrow import pa, pc

    if not empty or not len(array):
        return array
    longest, texts = _hollow(empty)
    ends = np.frombuffer(array.buffers()[1], np.int32)[array.offset :][: len(array) + 1]
    short = np.flatnonzero(ends[1:] - ends[:-1] <= longest)
    if not len(short):
        return array
    hit = pc.is_in(array.take(pa.array(short)), texts)
    if not hit.true_count:
        return array
    hollow = np.zeros(len(array), bool)
    hollow[short[np.asarray(hit)]] = True
    return pc.if_else(pa.array(hollow), pa.scalar(None, pa.string()), array)
