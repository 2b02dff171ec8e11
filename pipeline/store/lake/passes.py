"""One search's way through the lake's files: newest first, several at a time, within scope, time and limits.

In: the tree, the files that the manifest could not rule out. Out: for each file its row groups with a mask
of the rows that are asked for. `floor` may be raised meanwhile: what is older is not looked at any more.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.model import events
from pipeline.model.clock import to_micros
from pipeline.model.errors import LimitError
from pipeline.model.scope import Scope
from pipeline.store.base import TimeRange
from pipeline.store.lake.files import Facts, Group, Manifest, OpenFile
from pipeline.store.masks import evaluate, hopeless
from pipeline.store.paging import Key
from pipeline.store.query_tree import Node

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]
    Times = npt.NDArray[np.int64]

T = TypeVar("T")


class Pass:
    """See the module. `before`: only events that come after this key on the pages."""

    def __init__(
        self,
        root: Path,
        manifest: Manifest,
        tree: Node,
        files: Sequence[Facts],
        names: frozenset[str],
        scope: Scope,
        when: TimeRange,
        *,
        gone: Sequence[bytes],
        before: Key | None,
        deadline: float,
        seconds: float,
        workers: int,
    ) -> None:
        self._root, self._manifest, self._tree, self._names = root, manifest, tree, names
        self._scope, self._gone, self.before = scope, gone, before
        self._deadline, self._seconds, self._workers = deadline, seconds, workers
        self.start = -(2**63) if when.start is None else to_micros(when.start)
        self.stop = 2**63 - 1 if when.stop is None else to_micros(when.stop)
        if before is not None:
            self.stop = min(self.stop, before.time + 1)
        self.floor = self.start
        self._files = [f for f in files if to_micros(f.first) < self.stop]

    def run(self, work: Callable[[Facts], T], files: Sequence[Facts] | None = None) -> Iterator[T]:
        """The work on each file, results in the order of the files, a few of them under way."""
        waiting: deque[Future[T]] = deque()
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="search")
        try:
            for file in self._files if files is None else files:
                if to_micros(file.last) < self.floor:
                    break  # they come newest first
                self._tick()
                waiting.append(pool.submit(work, file))
                if len(waiting) > self._workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def groups(self, file: Facts, *, newest_first: bool = False) -> Iterator[tuple[Group, Mask]]:
        """The file's row groups that may hold what is asked for, each with the mask of what does."""
        words = self._manifest.words(file, self._names)
        opened = OpenFile(self._root, file, words, self._tick)
        groups = [(group, group.times()) for group in opened.groups()]
        if newest_first:
            groups.sort(key=lambda one: one[1][1], reverse=True)
        for group, (first, last) in groups:
            if last < self.floor or first >= self.stop or hopeless(self._tree, group):
                continue
            self._tick()
            mask = self._allowed(group)
            if first < self.floor or last >= self.stop:
                times = self.times(group)
                mask &= (times >= self.floor) & (times < self.stop)
            if self._gone and mask.any():
                mask &= ~self._superseded(group)
            if mask.any():
                yield group, evaluate(self._tree, group, mask)

    @staticmethod
    def times(group: Group) -> Times:
        """Microseconds of `@timestamp` by row."""
        import numpy as np
        import pyarrow as pa

        column = group.whole(events.TIME).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.int64)

    def _allowed(self, group: Group) -> Mask:
        """Rows of the agencies in scope."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        agencies = self._scope.agencies
        if agencies is None:
            return np.ones(group.count, dtype=np.bool_)
        ends = group.agencies()
        if ends is not None and not any(ends[0] <= one <= ends[1] for one in agencies):
            return np.zeros(group.count, dtype=np.bool_)
        inside = pc.is_in(
            group.whole(events.AGENCY), value_set=pa.array(sorted(agencies), pa.string())
        )
        return np.asarray(inside.to_numpy(zero_copy_only=False), dtype=np.bool_)

    def _superseded(self, group: Group) -> Mask:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        ids = group.whole(events.ID).cast(pa.binary(16))
        found: Any = pc.is_in(ids, value_set=pa.array(self._gone, pa.binary(16)))
        return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.bool_)

    def _tick(self) -> None:
        if time.monotonic() > self._deadline:
            raise LimitError(
                "the search took too long", got=f"more than {self._seconds:g} s",
                remedy="narrow the time range, or name a field or a dataset",
            )  # fmt: skip
