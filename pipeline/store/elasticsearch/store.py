"""The store on a cluster: commits by `_bulk`, a refresh, and only then the settlement in the state.

In: commits of one node each. Out: events by sequence, by id and by query. Killed between the cluster and the state,
a commit is done again: its events are there (409) under the same receipts, and count as stored. An event of a replay
is created only after the old one carries the mark of its successor, and both are settled together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
import sqlalchemy as sa

from pipeline.model import events
from pipeline.model.clock import to_micros
from pipeline.model.detections import Window
from pipeline.model.errors import ServiceAwayError
from pipeline.model.records import DeadLetter, Settled
from pipeline.model.scope import Scope
from pipeline.settings.values import ElasticsearchSettings
from pipeline.state.state import State
from pipeline.state.tables.lake import Superseded
from pipeline.state.tables.register import Agency
from pipeline.store import settlement, superseding
from pipeline.store.base import ALL_TIME, Commit, Health, KeptWhole, TimeRange
from pipeline.store.elasticsearch import delete, looking
from pipeline.store.elasticsearch.bulk import Bulk, Done
from pipeline.store.elasticsearch.client import connect, speaking, whole
from pipeline.store.elasticsearch.documents import Prepared, prepare
from pipeline.store.elasticsearch.health import health_of
from pipeline.store.elasticsearch.ready import Ready
from pipeline.store.elasticsearch.rows import document_of
from pipeline.store.elasticsearch.scan import scan
from pipeline.store.elasticsearch.search import Search
from pipeline.store.searched import Searched
from pipeline.store.steps import step

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK: Final = 400  # bound parameters of one statement


@dataclass
class Taken:
    """What became of a commit's events on the cluster. `refused`: by id, the letter of each."""

    stored: int = 0
    known: int = 0
    refused: dict[str, DeadLetter] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)


class ElasticsearchStore(Searched):
    """One cluster. Several processes may read it; each node's commits come from one process."""

    def __init__(
        self,
        settings: ElasticsearchSettings,
        state: State,
        *,
        resend_days: int = 10,
        seconds: float = 30.0,
    ) -> None:
        self._state, self._resend_days = state, resend_days
        self.client = connect(settings)
        self._bulk = Bulk(self.client, patience=settings.patience)
        self._ready = Ready(self.client, settings.shards)
        self._search = Search(self.client, seconds=seconds)

    def append(self, commit: Commit, *, now: datetime) -> Settled:
        """See `base.Store`. ConflictError when the commit does not begin where the last one ended."""
        settlement.check_next(self._state, commit)
        try:
            taken = self._take(commit, now)
        except ServiceAwayError:
            self._ready.forget()  # perhaps somebody removed an index
            raise
        settled = Settled(
            commit.node, commit.first, commit.last, stored=taken.stored, known=taken.known,
            refused=commit.refused + len(taken.refused), dropped=commit.dropped,
        )  # fmt: skip
        step("commit.before")
        with self._state.begin() as session:
            settlement.begin(session, commit, now)
            superseding.mark(session, taken.marks, now)
            settlement.settle(session, _with_letters(commit, taken.refused), settled, now)
        step("commit.after")
        return settled

    def _take(self, commit: Commit, now: datetime) -> Taken:
        """Everything of the commit on the cluster, and visible."""
        taken = Taken()
        gone = superseding.succeeded(self._state, commit.tables.values())
        fresh: dict[str, pa.Table] = {}
        for dataset, table in commit.tables.items():
            left = superseding.without(table, gone)
            if dataset in commit.resendable:
                left = self._unknown(left, commit.node, now)
            taken.known += table.num_rows - left.num_rows
            if left.num_rows:
                taken.marks |= superseding.replaced(left)
                fresh[dataset] = left
        looking.mark_superseded(self.client, taken.marks)
        step("commit.marked")
        indices: set[str] = set()
        done = self.send(fresh.items(), indices)
        theirs = looking.others(self.client, done.there, commit.node)
        mine = sum(one.sequence not in theirs for one in done.there)
        taken.stored = done.created + mine
        taken.known += len(done.there) - mine
        taken.refused = {one.id: _letter(commit, one, reason) for one, reason in done.refused}
        unmarked = {old: None for old, new in taken.marks.items() if new in taken.refused}
        looking.mark_superseded(self.client, unmarked)
        taken.marks = {old: new for old, new in taken.marks.items() if old not in unmarked}
        if indices:
            with speaking("_refresh"):
                whole(self.client.indices.refresh(index=sorted(indices)).body, "_refresh")
        return taken

    def _unknown(self, table: pa.Table, node: str, now: datetime) -> pa.Table:
        """The rows that no other receipt of the last days has stored."""
        import pyarrow as pa

        ids = [one.hex() for one in table.column(events.ID).to_pylist()]
        since = now - timedelta(days=self._resend_days)
        there = looking.receipts(self.client, ids, since=since)
        if not there:
            return table
        receipts = zip(ids, table.column(events.SEQUENCE).to_pylist(), strict=True)
        keep = [
            there.get(name, (node, sequence)) == (node, sequence) for name, sequence in receipts
        ]
        return table.filter(pa.array(keep, pa.bool_()))

    def send(self, tables: Iterable[tuple[str, pa.Table]], indices: set[str]) -> Done:
        """Put the events into their indices, which are made and gathered; they are durable, not yet visible."""
        return self._bulk.send(self._prepared(tables, indices))

    def _prepared(
        self, tables: Iterable[tuple[str, pa.Table]], indices: set[str]
    ) -> Iterator[list[Prepared]]:
        """The rows ready for the cluster."""
        drills = self._drills()
        for dataset, table in tables:
            for piece in prepare(table, dataset, drills):
                for index in {one.index for one in piece} - indices:
                    self._ready.ensure(index)
                    indices.add(index)
                yield piece

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
        """See `base.Store`. One page at a time is in memory."""
        spans = {node: span for node, span in window.spans.items() if span[1] > span[0]}
        if spans and scope.agencies != frozenset():
            yield from scan(self.client, spans, scope, columns)

    def get(
        self, ids: Sequence[str], *, scope: Scope, when: TimeRange = ALL_TIME
    ) -> list[dict[str, Any]]:
        """See `base.Store`. The ids name the events: `when` saves nothing here."""
        found = {
            hit["_id"]: document_of(hit["_source"])
            for hit in looking.by_id(self.client, ids)
            if scope.allows(hit["_source"][events.AGENCY])
        }
        names = sorted(found)
        for start in range(0, len(names), _CHUNK):
            chosen = sa.select(Superseded).where(
                Superseded.event.in_(names[start : start + _CHUNK])
            )
            with self._state.read() as session:
                for row in session.scalars(chosen):
                    found[row.event].setdefault("thapcanh", {})["superseded_by"] = row.by
        return [found[one] for one in dict.fromkeys(ids) if one in found]

    def delete_before(self, agency: str, moment: datetime, *, now: datetime) -> int:
        """See `base.SearchableStore`."""
        return delete.delete_before(self.client, self._state, agency, moment, now=now)

    def kept_whole(self, *, now: datetime) -> list[KeptWhole]:
        """See `base.SearchableStore`: indices of months long past."""
        return delete.kept_whole(self.client, self._state, now=now)

    def health(self) -> Health:
        """Whether the cluster answers, takes documents, and has the template that is wanted."""
        return health_of(self.client)

    def close(self) -> None:
        self.client.close()

    def _drills(self) -> frozenset[str]:
        with self._state.read() as session:
            return frozenset(session.scalars(sa.select(Agency.id).where(Agency.drill.is_(True))))


def _letter(commit: Commit, refused: Prepared, reason: str) -> DeadLetter:
    """The dead letter of an event that the cluster can never take; it carries the bytes."""
    import pyarrow.compute as pc

    for table in commit.tables.values():
        rows = table.filter(pc.equal(table.column(events.SEQUENCE), refused.sequence))
        if rows.num_rows:
            row = rows.slice(0, 1).to_pylist()[0]
            body = row.get(events.ORIGINAL_BYTES) or (row.get(events.ORIGINAL) or "").encode()
            return DeadLetter(
                refused.sequence, row[events.SOURCE], row[events.AGENCY], "store_refused", reason,
                to_micros(row[events.CREATED]), body=body,
            )  # fmt: skip
    raise LookupError(f"no receipt {refused.sequence}")


def _with_letters(commit: Commit, refused: Mapping[str, DeadLetter]) -> Commit:
    """The commit with the letters of what was refused; a letter that points at such an event carries its bytes."""
    if not refused:
        return commit
    kept = [
        msgspec.structs.replace(letter, event="", body=refused[letter.event].body)
        if letter.event in refused
        else letter
        for letter in commit.dead
    ]
    return replace(commit, dead=[*kept, *refused.values()])
