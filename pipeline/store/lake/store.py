"""The embedded store: Parquet files under one folder, and a manifest in the state that makes them exist.

In: commits of one node each. Out: events by sequence, and by id. A commit writes its files first (temp
file, fsync, rename), then manifest rows, settlement and dead letters in one transaction; a crash between
the two leaves files that nobody sees and `sweep` removes. A file that cannot be read is an error that
names it, never a gap.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from pipeline.model import events
from pipeline.model.detections import Window
from pipeline.model.errors import DamagedError
from pipeline.model.records import Settled
from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.state.tables.lake import LakeFile, Superseded
from pipeline.store import settlement, superseding
from pipeline.store.base import ALL_TIME, Commit, Health, KeptWhole, TimeRange
from pipeline.store.files import Written, arrange, open_parquet, write_file
from pipeline.store.ids import KnownIds, day_of, halves, repeated
from pipeline.store.lake import compact as lake_compact
from pipeline.store.lake import delete as lake_delete
from pipeline.store.lake import ids as lake_ids
from pipeline.store.lake import manifest as lake_manifest
from pipeline.store.lake import scan as lake_scan
from pipeline.store.lake import verify as lake_verify
from pipeline.store.lake.files import Manifest
from pipeline.store.lake.search import DEFAULT_LIMITS, LakeSearch, Limits
from pipeline.store.searched import Searched
from pipeline.store.steps import step

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)
_LIVE: Final = "live"
_REMEDY: Final = "thapcanh store verify says what it held and mends it"


class Lake(Searched):
    """One lake. Several processes may read it; each node's commits come from one process."""

    def __init__(
        self, root: Path, state: State, *, resend_days: int = 10, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._root, self._state, self._resend_days = root, state, resend_days
        self._known = KnownIds()
        self._loaded = self._deletions = 0
        self._merger = lake_compact.Merger(root, state)
        self._search = LakeSearch(root, Manifest(state), limits)

    def append(self, commit: Commit, *, now: datetime) -> Settled:
        """See `base.Store`. ConflictError when the commit does not begin where the last one ended."""
        settlement.check_next(self._state, commit)
        written: list[tuple[Written, bool]] = []
        known = 0
        marks: dict[str, str] = {}
        gone = superseding.succeeded(self._state, commit.tables.values())
        for dataset, table in commit.tables.items():
            resendable = dataset in commit.resendable
            fresh = superseding.without(table, gone)
            if resendable:
                fresh = self._fresh(fresh, now)
            known += table.num_rows - fresh.num_rows  # settled, not stored
            if fresh.num_rows:
                marks |= superseding.replaced(fresh)
                written.append((write_file(self._root, dataset, arrange(fresh)), resendable))
        settled = Settled(
            commit.node, commit.first, commit.last,
            stored=sum(one.rows for one, _ in written), known=known,
            refused=commit.refused, dropped=commit.dropped,
        )  # fmt: skip
        step("commit.before")
        with self._state.begin() as session:
            settlement.begin(session, commit, now)
            for one, resendable in written:
                lake_manifest.record(session, one, resendable=resendable, now=now)
            superseding.mark(session, marks, now)
            settlement.settle(session, commit, settled, now)
        step("commit.after")
        return settled

    def watermark(self) -> dict[str, int]:
        """See `base.Store`."""
        return settlement.watermark(self._state)

    def scan(
        self,
        window: Window,
        *,
        scope: Scope,
        columns: Mapping[str, frozenset[str] | None] | None = None,
    ) -> Iterator[tuple[str, pa.Table]]:
        """See `base.Store`. One file at a time is in memory."""
        return lake_scan.scan(self._root, self._state, window.spans, scope=scope, columns=columns)

    def get(
        self, ids: Sequence[str], *, scope: Scope, when: TimeRange = ALL_TIME
    ) -> list[dict[str, Any]]:
        """See `base.Store`."""
        from pipeline.normalise.document import event_as_document

        wanted = sorted({bytes.fromhex(one) for one in ids})
        chosen = sa.select(LakeFile).where(LakeFile.state == _LIVE)
        if when.start is not None:
            chosen = chosen.where(LakeFile.last_time >= when.start)
        if when.stop is not None:
            chosen = chosen.where(LakeFile.first_time < when.stop)
        with self._state.read() as session:
            files = list(session.scalars(chosen))
            replaced = {r.event: r.by for r in session.scalars(sa.select(Superseded))}
        found: dict[str, dict[str, Any]] = {}
        for file in files:
            if len(found) == len(wanted):
                break
            if not any(map(scope.allows, file.agencies)):
                continue
            table = lake_ids.rows_with(self._root / file.path, wanted)
            if table is None:
                continue
            for row in range(table.num_rows):
                if scope.allows(table.column(events.AGENCY)[row].as_py()):
                    name = table.column(events.ID)[row].as_py().hex()
                    document = event_as_document(table, row)
                    if name in replaced:
                        document.setdefault("thapcanh", {})["superseded_by"] = replaced[name]
                    found[name] = document
        return [found[one] for one in dict.fromkeys(ids) if one in found]

    def health(self) -> Health:
        """Whether every file of the manifest is there, with its size."""
        with self._state.read() as session:
            files = list(
                session.execute(
                    sa.select(LakeFile.path, LakeFile.bytes).where(LakeFile.state == _LIVE)
                )
            )
            rows = sa.select(sa.func.sum(LakeFile.rows)).where(LakeFile.state == lake_verify.LOST)
            lost = int(session.scalar(rows) or 0)
        notes = []
        for path, size in files:
            there = self._root / path
            if not there.exists():
                notes.append(f"{path} is gone: {_REMEDY}")
            elif there.stat().st_size != size:
                notes.append(f"{path} has another size than was written: {_REMEDY}")
        return Health(
            "degraded" if notes else "ok", notes,
            {"files": len(files), "bytes": sum(size for _, size in files), "lost_events": lost},
        )  # fmt: skip

    def delete_before(self, agency: str, moment: datetime, *, now: datetime) -> int:
        """See `base.SearchableStore`."""
        return lake_delete.delete_before(self._root, self._state, agency, moment, now=now)

    def kept_whole(self, *, now: datetime) -> list[KeptWhole]:
        """See `base.SearchableStore`: none, for a file is written anew with just what is held."""
        return []

    def compact(self, now: datetime, *, most: int = 1_000) -> int:
        """See `base.Upkeep`."""
        return self._merger.compact(now, most=most)

    def sweep(self, now: datetime) -> int:
        """Remove files that the manifest does not name, or not any more; how many went."""
        return lake_manifest.sweep(self._root, self._state, now=now)

    def close(self) -> None:
        """Nothing is held open between calls but a merge, which is given up."""
        self._merger.close()

    def _fresh(self, table: pa.Table, now: datetime) -> pa.Table:
        """The rows whose ids are in neither the lake nor an earlier row of the table."""
        self._load(now)
        ids = halves(table)
        return table.filter(~(repeated(ids) | self._known.known(ids)))

    def _load(self, now: datetime) -> None:
        """Read the ids of resendable files that were committed since the last look."""
        import pyarrow as pa

        oldest = day_of(now) - self._resend_days
        chosen = (
            sa.select(LakeFile)
            .where(LakeFile.number > self._loaded, LakeFile.resendable, LakeFile.state == _LIVE)
            .order_by(LakeFile.number)
        )
        with self._state.read() as session:
            deletions = lake_manifest.deletions(session)
            files = list(session.scalars(chosen))
        if deletions != self._deletions and self._loaded:
            # What was deleted, here or by another process, is known no more.
            self._known, self._loaded = KnownIds(), 0
            self._deletions = deletions
            self._load(now)
            return
        self._deletions = deletions
        for file in files:
            self._loaded = file.number
            if day_of(file.last_created) >= oldest:
                try:
                    ids = halves(open_parquet(self._root / file.path).read([events.ID]))
                except (DamagedError, OSError, pa.ArrowException) as error:
                    # What it held cannot be read: a resend brings it back, and nobody else must wait.
                    log.warning(
                        "%s is not read, its events are known no more: %s", file.path, error
                    )
                    continue
                self._known.add(day_of(file.last_created), ids)
        self._known.forget_before(oldest)
