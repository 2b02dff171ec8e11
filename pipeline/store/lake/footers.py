"""Parquet files of the lake opened for searches, their footers kept: reading one of 128 columns takes longer than a column.

In: a path. Out: a `ParquetFile` and its `Footer`. Footers are kept up to `KEPT` bytes, the last used longest, by path,
size and time of change: a file that is harmed meanwhile is read anew. May be used by several threads.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any, Final

from pipeline.store import trigrams

KEPT: Final = 96 << 20
_GROWTH: Final = 4  # bytes in memory for one in the file


class Footer:
    """What a search asks of a file's footer, each answer found once."""

    def __init__(self, opened: Any) -> None:
        meta = opened.metadata
        self.metadata = meta
        self.names: frozenset[str] = frozenset(opened.schema_arrow.names)
        self.places: dict[str, int] = {
            meta.schema.column(i).path: i for i in range(meta.num_columns)
        }
        self._under: dict[str, list[int]] = {}
        self.trigrams: Any = trigrams.unpack((meta.metadata or {}).get(trigrams.KEY))

    def under(self, name: str) -> list[int]:
        """The places of the column's parts (a list, a map), and of those whose names begin with its name."""
        found = self._under.get(name)
        if found is None:
            found = [
                i for path, i in self.places.items() if path == name or path.startswith(f"{name}.")
            ]
            if (
                name in self.names
            ):  # else it is a word that people ask for: there is no end of those
                self._under[name] = found
        return found


class _Footers:
    """The last used of them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, int, int], Footer] = OrderedDict()
        self._size = 0

    def get(self, key: tuple[str, int, int]) -> Footer | None:
        """None if it is not among them."""
        with self._lock:
            footer = self._kept.get(key)
            if footer is not None:
                self._kept.move_to_end(key)
            return footer

    def keep(self, key: tuple[str, int, int], footer: Footer) -> None:
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = footer
            self._size += footer.metadata.serialized_size * _GROWTH
            while self._size > KEPT:
                _, old = self._kept.popitem(last=False)
                self._size -= old.metadata.serialized_size * _GROWTH


_footers = _Footers()


def open_file(path: Path, dictionaries: list[str] | None = None) -> tuple[Any, Footer]:
    """A `ParquetFile` and its footer. Raises what pyarrow does; FileNotFoundError for a file that is gone."""
    import pyarrow.parquet as pq

    there = path.stat()
    key = (str(path), there.st_size, there.st_mtime_ns)
    footer = _footers.get(key)
    opened = pq.ParquetFile(path, metadata=footer and footer.metadata, read_dictionary=dictionaries)
    if footer is None:
        footer = Footer(opened)
        _footers.keep(key, footer)
    return opened, footer
