"""The lake: Parquet files under one folder, and a manifest in the state. The embedded store.

In: commits. Out: what `base.Store` promises. A commit is one zstd file per dataset, then one
transaction that makes the files exist, settles the receipts and files the dead letters; a crash
before it leaves files that nobody sees, which `sweep` deletes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.model.clock import utc_now
from pipeline.model.detections import Window
from pipeline.model.errors import ConflictError, UsageError
from pipeline.model.records import Settled
from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.state.tables.lake import LakeFile
from pipeline.store import manifest
from pipeline.store.base import ALL_TIME, Commit, Health, Page, TimeRange
from pipeline.store.files import Written, arrange, write_file
from pipeline.store.known import Lookup
from pipeline.store.scan import Reader, chunks
from pipeline.store.steps import step

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.store.search import Searcher

ORPHAN_AGE = 900.0  # seconds; a file this young may be about to be committed by another process


class Lake:
    """See `base.Store`. Many processes may have the same lake open."""

    def __init__(self, root: Path, state: State, *, resend_days: int = 10) -> None:
        self.root, self.state = root, state
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lookup = Lookup(root, state, resend_days)
        self._writing = threading.Lock()
        self._searcher: Searcher | None = None

    # -- writing

    def append(self, commit: Commit, *, now: datetime) -> Settled:
        with self._writing:
            while True:
                settled = self._append_once(commit, now)
                if settled is not None:
                    return settled

    def _append_once(self, commit: Commit, now: datetime) -> Settled | None:
        """None if another process committed ids that this look-up did not know of."""
        with self.state.read() as session:
            self._check_place(commit, manifest.watermark(session, commit.node))
            drill = manifest.drill_agencies(session)
        fresh = self._lookup.fresh(commit, now)
        settled = Settled(
            commit.node,
            commit.first,
            commit.last,
            stored=fresh.rows,
            known=fresh.known,
            refused=commit.refused,
            dropped=commit.dropped,
        )
        files: list[tuple[Written, bool]] = []
        done = False
        try:
            for dataset, table in sorted(fresh.tables.items()):
                written = write_file(self.root, dataset, arrange(table))
                files.append((written, dataset in commit.resendable))
            step("commit.files")
            with self.state.begin() as session:
                self._check_place(commit, manifest.watermark(session, commit.node))
                if commit.resendable and self._lookup.outdated(session, now):
                    return None
                self._check_files(files)
                numbers = [
                    manifest.add_file(session, file, now=now, resendable=resendable, drill=drill)
                    for file, resendable in files
                ]
                manifest.settle(session, settled, now=now)
                manifest.add_dead(session, commit.node, fresh.letters(commit.dead))
                manifest.add_file_ranges(session, commit.node, commit.files, now=now)
                manifest.supersede(session, fresh.replaced(), now=now)
                step("commit.transaction")
            done = True
            step("commit.done")
        finally:
            if not done:
                self._remove(files)
        self._lookup.remember(fresh, numbers)
        return settled

    @staticmethod
    def _check_place(commit: Commit, settled: int) -> None:
        if commit.first != settled + 1:
            raise ConflictError(
                "this commit does not go on from what is settled",
                where=f"node {commit.node}",
                got=f"receipts {commit.first} to {commit.last}",
                expected=f"a first receipt of {settled + 1}",
                remedy="read the watermark again; only one process may settle a node",
            )

    def _check_files(self, files: Sequence[tuple[Written, bool]]) -> None:
        for file, _ in files:
            if not (self.root / file.path).exists():  # swept while this process stood still
                raise ConflictError(
                    "a file of this commit was swept before it was committed",
                    where=file.path,
                    remedy="the commit is made again",
                )

    def _remove(self, files: Sequence[tuple[Written, bool]]) -> None:
        for file, _ in files:
            (self.root / file.path).unlink(missing_ok=True)

    def sweep(self, *, age: float = ORPHAN_AGE) -> list[str]:
        """Delete files without a row that are older than `age` seconds. Run at the start of a role."""
        found = {
            str(path.relative_to(self.root)): path
            for pattern in ("*/*/*.parquet", "*/*/*.part")
            for path in self.root.glob(pattern)
            if path.stat().st_mtime <= time.time() - age
        }
        with self.state.read() as session:
            known = manifest.known_paths(session)
        orphans = sorted(found.keys() - known)
        for orphan in orphans:
            found[orphan].unlink(missing_ok=True)
        return orphans

    # -- reading

    def watermark(self) -> dict[str, int]:
        with self.state.read() as session:
            return manifest.watermarks(session)

    def scan(
        self, window: Window, *, scope: Scope, columns: Mapping[str, frozenset[str]] | None = None
    ) -> Iterator[tuple[str, pa.Table]]:
        with self.state.read() as session:
            settled = manifest.watermarks(session)
            gone = [bytes.fromhex(old) for old in manifest.superseded(session)]
        reader = Reader(
            self.root, scope=scope, wanted=columns, superseded=gone, on_damage=self.quarantine
        )
        for node, (after, upto) in window.spans.items():
            if upto > settled.get(node, 0):
                raise UsageError(
                    "the window goes past what is settled",
                    where=f"node {node}",
                    got=f"up to {upto}",
                    expected=f"at most {settled.get(node, 0)}",
                )
            yield from self._scan_node(reader, node, after, upto)

    def _scan_node(
        self, reader: Reader, node: str, after: int, upto: int
    ) -> Iterator[tuple[str, pa.Table]]:
        while after < upto:
            with self.state.read() as session:
                files = manifest.overlapping(session, node, after, upto)
            for start, stop in chunks(files, after, upto):
                try:
                    tables = list(reader.chunk(files, node, start, stop))
                except FileNotFoundError as error:
                    if self._still_wanted(error, files):
                        raise
                    break  # compacted or expired meanwhile: look at the manifest again
                yield from tables
                after = stop

    def _still_wanted(
        self, error: FileNotFoundError, files: Sequence[tuple[LakeFile, int, int]]
    ) -> bool:
        """Quarantine the file that is gone although its row says it exists."""
        gone = next(
            (file for file, _, _ in files if str(self.root / file.path) in str(error)), None
        )
        if gone is None:
            return True
        with self.state.read() as session:
            row = session.get(LakeFile, gone.id)
        if row is None or row.state not in (manifest.LIVE, manifest.QUARANTINED):
            return False
        self.quarantine(gone, error)
        return False  # the next look raises DamagedError by the row's new state

    def quarantine(self, file: LakeFile, error: Exception) -> None:
        """Mark a file that cannot be read, so that `verify` and `doctor` name what it held."""
        with self.state.begin() as session:
            manifest.set_state(session, [file.id], manifest.QUARANTINED, now=utc_now())

    # -- for people

    def get(
        self, ids: Sequence[str], *, scope: Scope, when: TimeRange = ALL_TIME
    ) -> list[dict[str, Any]]:
        return self._search().get(ids, scope=scope, when=when)

    def search(
        self,
        query: str,
        *,
        scope: Scope,
        when: TimeRange,
        limit: int = 50,
        after: str | None = None,
    ) -> Page:
        return self._search().search(query, scope=scope, when=when, limit=limit, after=after)

    def count(self, query: str, *, scope: Scope, when: TimeRange) -> int:
        return self._search().count(query, scope=scope, when=when)

    def histogram(
        self, query: str, *, scope: Scope, when: TimeRange, step: timedelta
    ) -> list[tuple[datetime, int]]:
        return self._search().histogram(query, scope=scope, when=when, step=step)

    def top(
        self, query: str, field: str, *, scope: Scope, when: TimeRange, limit: int = 10
    ) -> list[tuple[str, int]]:
        return self._search().top(query, field, scope=scope, when=when, limit=limit)

    def _search(self) -> Searcher:
        from pipeline.store.search import Searcher

        if self._searcher is None:
            self._searcher = Searcher(self.root, self.state, on_damage=self.quarantine)
        return self._searcher

    # -- keeping

    def delete_before(self, agency: str, moment: datetime, *, now: datetime) -> int:
        from pipeline.store.retention import delete_before

        return delete_before(self.root, self.state, {agency: moment}, now=now)

    def health(self) -> Health:
        from pipeline.store.verify import health

        return health(self.root, self.state)

    def close(self) -> None:
        if self._searcher is not None:
            self._searcher.close()
            self._searcher = None
