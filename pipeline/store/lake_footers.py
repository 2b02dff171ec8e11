"""Parquet files of the lake opened for searches, their footers kept: reading one of 128 columns takes longer than a column.

In: a path. Out: a `ParquetFile`. Footers are kept up to `KEPT` bytes, the last used longest, by path, size and time of
change: a file that is harmed meanwhile is read anew. May be used by several threads.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any, Final

KEPT: Final = 96 << 20
_GROWTH: Final = 4  # bytes in memory for one in the file


class _Footers:
    """The last used of them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, int, int], Any] = OrderedDict()
        self._size = 0

    def get(self, key: tuple[str, int, int]) -> Any:
        """None if it is not among them."""
        with self._lock:
            footer = self._kept.get(key)
            if footer is not None:
                self._kept.move_to_end(key)
            return footer

    def keep(self, key: tuple[str, int, int], footer: Any) -> None:
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = footer
            self._size += footer.serialized_size * _GROWTH
            while self._size > KEPT:
                _, old = self._kept.popitem(last=False)
                self._size -= old.serialized_size * _GROWTH


_footers = _Footers()


def open_file(path: Path, dictionaries: list[str] | None = None) -> Any:
    """Raises what pyarrow does; FileNotFoundError for a file that is gone."""
    import pyarrow.parquet as pq

    there = path.stat()
    key = (str(path), there.st_size, there.st_mtime_ns)
    footer = _footers.get(key)
    opened = pq.ParquetFile(path, metadata=footer, read_dictionary=dictionaries)
    if footer is None:
        _footers.keep(key, opened.metadata)
    return opened
