"""Search over the lake: pages, counts, histograms and top values, newest first, within a scope.

In: a query, a scope, a time range. The manifest leaves out files, a file's statistics leave out row groups,
and what is left is decided column by column on two threads. Out: what `base.SearchableStore` says. Superseded
events are left out. A search that needs more time or memory than it may take is an error, never a part.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nlargest
from pathlib import Path
from typing import Any, Final

from pipeline.model import events
from pipeline.model.clock import from_micros
from pipeline.model.errors import LimitError, UsageError
from pipeline.model.scope import Scope
from pipeline.normalise.document import events_as_documents
from pipeline.store.base import Page, TimeRange
from pipeline.store.fields import ecs_kind
from pipeline.store.lake.files import Facts, Manifest, possible
from pipeline.store.lake.passes import Pass
from pipeline.store.lake.rows import rows_of
from pipeline.store.masks import fields
from pipeline.store.paging import Key, check_limit, read_key, write_key
from pipeline.store.query import parse
from pipeline.store.tally import tally

MAX_BARS: Final = 10_000
MAX_TOP: Final = 1_000
_ENTRY: Final = 120  # bytes of a counted value beside its text


@dataclass(frozen=True, slots=True)
class Limits:
    """What one search may take: seconds, bytes of what it gathers, threads."""

    seconds: float = 30.0
    memory: int = 256 << 20
    workers: int = 2


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class _Hit:
    """An event that was found, and where it stands."""

    key: Key
    file: Facts
    row: int


class LakeSearch:
    """Searches one lake. May be used by several threads."""

    def __init__(self, root: Path, manifest: Manifest, limits: Limits) -> None:
        self._root, self._manifest, self._limits = root, manifest, limits

    def search(
        self, query: str, *, scope: Scope, when: TimeRange, limit: int, after: str | None
    ) -> Page:
        """See `base.SearchableStore`."""
        check_limit(limit)
        before = None if after is None else read_key(after, query)
        asked = self._pass(query, scope, when, before)
        best: list[_Hit] = []
        for found in asked.run(lambda file: _newest(asked, file, limit + 1)):
            best = nlargest(limit + 1, [*best, *found], key=lambda hit: hit.key)
            if len(best) > limit:
                # What is older cannot matter any more.
                asked.floor = max(asked.floor, best[-1].key.time)
        shown = best[:limit]
        following = write_key(shown[-1].key, query) if len(best) > limit else None
        return Page(self._documents(shown, asked), following)

    def count(self, query: str, *, scope: Scope, when: TimeRange) -> int:
        """See `base.SearchableStore`."""
        asked = self._pass(query, scope, when)
        return sum(asked.run(lambda file: sum(int(m.sum()) for _, m in asked.groups(file))))

    def histogram(
        self, query: str, *, scope: Scope, when: TimeRange, step: timedelta
    ) -> list[tuple[datetime, int]]:
        """See `base.SearchableStore`."""
        width = step // timedelta(microseconds=1)
        if width < 1_000 or width % 1_000:
            raise UsageError(
                "a step of a histogram is whole milliseconds", where="step", got=str(step)
            )
        asked = self._pass(query, scope, when)
        bars: Counter[int] = Counter()
        for found in asked.run(lambda file: _bars(asked, file, width)):
            bars.update(found)
            if len(bars) > MAX_BARS:
                raise LimitError(
                    "the histogram has too many bars", where="step", got=str(step),
                    expected=f"{MAX_BARS} bars at most", remedy="take a longer step or a shorter time",
                )  # fmt: skip
        return [(from_micros(bar * width), count) for bar, count in sorted(bars.items())]

    def top(
        self, query: str, field: str, *, scope: Scope, when: TimeRange, limit: int
    ) -> list[tuple[str, int]]:
        """See `base.SearchableStore`."""
        if not 1 <= limit <= MAX_TOP:
            raise UsageError("not so many top values", got=str(limit), expected=f"1 to {MAX_TOP}")
        if ecs_kind(field) in ("id", "words", "sealed"):
            raise UsageError(
                "values of this field are not counted", where="field", got=field,
                remedy="take a field whose values repeat",
            )  # fmt: skip
        asked = self._pass(query, scope, when, None, field)
        counts: Counter[str] = Counter()
        size = 0
        for found in asked.run(lambda file: _values(asked, file, field)):
            size += sum(len(value) + _ENTRY for value in found if value not in counts)
            counts.update(found)
            if size > self._limits.memory:
                raise LimitError(
                    "the field has too many different values to count", where=field,
                    got=f"more than {len(counts)}", remedy="narrow the query or the time",
                )  # fmt: skip
        return sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:limit]

    def _pass(
        self, query: str, scope: Scope, when: TimeRange, before: Key | None = None, *names: str
    ) -> Pass:
        files, gone = self._manifest.read(scope, when)
        kinds = self._manifest.kinds(files)

        def kind(name: str) -> str:
            known = ecs_kind(name)
            return kinds.get(name, known) if known == "text" else known

        tree = parse(query, kind)
        chosen = [f for f in files if possible(tree, f, self._manifest.columns(f)) is not False]
        limits = self._limits
        return Pass(
            self._root, self._manifest, tree, chosen, fields(tree).union(names), scope, when, gone=gone, before=before,
            deadline=time.monotonic() + limits.seconds, seconds=limits.seconds, workers=limits.workers,
        )  # fmt: skip

    def _documents(self, hits: list[_Hit], asked: Pass) -> list[dict[str, Any]]:
        by_file: dict[Facts, list[_Hit]] = defaultdict(list)
        for hit in hits:
            by_file[hit.file].append(hit)
        found: dict[Key, dict[str, Any]] = {}
        size = 0

        def read(file: Facts) -> tuple[list[_Hit], Any]:
            here = sorted(by_file[file], key=lambda hit: hit.row)
            return here, rows_of(self._root / file.path, [hit.row for hit in here])

        asked.floor = -(2**63)  # every file that a hit stands in is opened
        for here, table in asked.run(read, list(by_file)):
            size += table.nbytes
            if size > self._limits.memory:
                raise LimitError(
                    "the events of this page are too large", got=f"{size >> 20} MB and more",
                    expected=f"{self._limits.memory >> 20} MB at most", remedy="take smaller pages",
                )  # fmt: skip
            found |= zip((hit.key for hit in here), events_as_documents(table), strict=True)
        return [found[hit.key] for hit in hits]


def _newest(asked: Pass, file: Facts, limit: int) -> list[_Hit]:
    """The file's newest hits, at most so many."""
    import numpy as np

    found: list[_Hit] = []
    for group, mask in asked.groups(file, newest_first=True):
        rows = np.flatnonzero(mask)
        if not len(rows):
            continue
        times = asked.times(group)[rows]
        if len(rows) > limit:  # those of the limit's own microsecond stay until their ids decide
            keep = times >= np.partition(times, len(times) - limit)[len(times) - limit]
            rows, times = rows[keep], times[keep]
        ids = group.whole(events.ID).take(rows).to_pylist()
        hits = (
            _Hit(Key(int(moment), one), file, group.first_row + int(row))
            for moment, one, row in zip(times, ids, rows, strict=True)
        )
        found = nlargest(
            limit,
            (h for h in [*found, *hits] if asked.before is None or h.key < asked.before),
            key=lambda hit: hit.key,
        )
        if len(found) == limit:
            # Another thread may lower it again: that costs time, and loses nothing.
            asked.floor = max(asked.floor, found[-1].key.time)
    return found


def _bars(asked: Pass, file: Facts, width: int) -> dict[int, int]:
    import numpy as np

    bars: Counter[int] = Counter()
    for group, mask in asked.groups(file):
        found, counts = np.unique(asked.times(group)[mask] // width, return_counts=True)
        bars.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
    return bars


def _values(asked: Pass, file: Facts, field: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for group, mask in asked.groups(file):
        start = 0
        if not mask.any():
            continue
        for piece in group.pieces(field):
            counts.update(tally(piece, mask[start : start + len(piece)]))
            start += len(piece)
    return counts
