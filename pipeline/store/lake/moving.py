"""The lake's side of a copy (`copying`): events out of it and into it by ranges of receipts, and all of them away."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.state.tables.lake import LakeFile, LakeSpan
from pipeline.store.copying import Part, Sum, sum_tables
from pipeline.store.files import arrange, write_file
from pipeline.store.lake import manifest as lake_manifest
from pipeline.store.lake import scan as lake_scan
from pipeline.store.lake.compact import alike
from pipeline.store.steps import step

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 250  # files of one transaction


class LakeMover:
    """See `copying.Movable`. `now` is written as the time of the files' commits."""

    def __init__(self, root: Path, state: State, now: datetime) -> None:
        self._root, self._state, self._now = root, state, now

    def take_out(self, node: str, after: int, upto: int, *, most: int) -> Part | None:
        tables: list[tuple[str, pa.Table]] = []
        size = 0
        for dataset, table in lake_scan.scan(
            self._root, self._state, {node: (after, upto)},
            scope=Scope.everything(), columns=None, superseded=True,
        ):  # fmt: skip
            size += table.nbytes
            if size > most and upto - after > 1:
                return None
            tables.append((dataset, table))
        return Part(tables, sum_tables(tables))

    def put_in(
        self, node: str, after: int, upto: int, tables: list[tuple[str, pa.Table]]
    ) -> frozenset[int]:
        """Files of the range or after it are of a copy that was cut off: their place is taken."""
        written = [
            write_file(self._root, dataset, arrange(one))
            for dataset, one in _together(tables)
            if one.num_rows
        ]
        step("commit.before")
        with self._state.begin() as session:
            old = sa.select(LakeSpan.file).where(LakeSpan.node == node, LakeSpan.last > after)
            lake_manifest.retire(session, list(session.scalars(old)), "expired", now=self._now)
            for one in written:
                # nobody knows any more which could come again: the ids of the last days are looked up
                lake_manifest.record(session, one, resendable=True, now=self._now)
            lake_manifest.count_deletion(session)
        step("commit.after")
        return frozenset()

    def sum_of(self, node: str, after: int, upto: int) -> Sum:
        found = lake_scan.scan(
            self._root, self._state, {node: (after, upto)},
            scope=Scope.everything(), columns=None, superseded=True,
        )  # fmt: skip
        return sum_tables(found)

    def held(self) -> int:
        rows = sa.select(sa.func.sum(LakeFile.rows)).where(LakeFile.state == "live")
        with self._state.read() as session:
            return int(session.scalar(rows) or 0)

    def clear(self) -> int:
        """What was given up as lost stays listed."""
        gone = 0
        while True:
            live = sa.select(LakeFile.id).where(LakeFile.state == "live").limit(_BATCH)
            with self._state.begin() as session:
                names = list(session.scalars(live))
                rows = lake_manifest.retire(session, names, "expired", now=self._now)
                gone += sum(row.rows for row in rows)
                lake_manifest.count_deletion(session)
            if not names:
                break
        # no reader and no commit is under way in a store that is not in use
        lake_manifest.sweep(self._root, self._state, now=self._now + 2 * lake_manifest.GRACE)
        return gone


def _together(tables: list[tuple[str, pa.Table]]) -> list[tuple[str, pa.Table]]:
    """Tables of a dataset whose columns are of one type each, as one."""
    import pyarrow as pa

    by_dataset: dict[str, list[pa.Table]] = {}
    for dataset, table in tables:
        by_dataset.setdefault(dataset, []).append(table)
    found = []
    for dataset, same in by_dataset.items():
        left = same
        while left:
            places = set(alike(left) or [0])
            joined = pa.concat_tables([left[n] for n in sorted(places)], promote_options="default")
            found.append((dataset, joined))
            left = [table for n, table in enumerate(left) if n not in places]
    return found
