"""The cluster's side of a copy (`copying`): events out of it and into it by ranges of receipts, and all of them away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pipeline.model import events
from pipeline.model.errors import RefusedError
from pipeline.state.state import State
from pipeline.state.tables.lake import Superseded
from pipeline.store.copying import Part, Sum, sum_rows
from pipeline.store.elasticsearch import looking
from pipeline.store.elasticsearch.client import EVERY, speaking, whole
from pipeline.store.elasticsearch.rows import row_of, table_of
from pipeline.store.elasticsearch.scan import SMALL_PAGE, hits
from pipeline.store.elasticsearch.store import ElasticsearchStore
from pipeline.store.elasticsearch.templates import PATTERN
from pipeline.store.steps import step

if TYPE_CHECKING:
    import pyarrow as pa

Source = Mapping[str, Any]
_MADE = {"excludes": ["thapcanh.text", "thapcanh.find", "thapcanh.long_tokens"]}


class ClusterMover:
    """See `copying.Movable`."""

    def __init__(self, store: ElasticsearchStore, state: State) -> None:
        self._store, self._client, self._state = store, store.client, state

    def take_out(self, node: str, after: int, upto: int, *, most: int) -> Part | None:
        tables: list[tuple[str, pa.Table]] = []
        total, size = Sum(), 0
        for page in self._pages(node, after, upto):
            total += sum_rows(map(row_of, page))
            by_dataset: dict[str, list[Source]] = {}
            for source in page:
                by_dataset.setdefault(source[events.DATASET], []).append(source)
            for dataset, sources in by_dataset.items():
                table = table_of(sources, None)
                size += table.nbytes
                tables.append((dataset, table))
            if size > most and upto - after > 1:
                return None
        return Part(tables, total)

    def put_in(
        self, node: str, after: int, upto: int, tables: list[tuple[str, pa.Table]]
    ) -> frozenset[int]:
        """What a cut-off copy has put in answers 409, with this very receipt."""
        indices: set[str] = set()
        done = self._store.send(tables, indices)
        if done.refused:
            one, reason = done.refused[0]
            raise RefusedError(
                "the cluster can never take an event of this installation", where=one.index,
                got=f"{one.id}: {reason}", expected="a template of this program, and documents of 100 MB at most",
                remedy="thapcanh store init shows what the cluster has; mend it there and copy again",
            )  # fmt: skip
        step("copy.sent")
        self._refresh(sorted(indices))
        marks: dict[str, str | None] = {
            name: self._superseded[name]
            for _, table in tables
            for name in (one.hex() for one in table.column(events.ID).to_pylist())
            if name in self._superseded
        }
        looking.mark_superseded(self._client, marks)
        return looking.others(self._client, done.there, node)

    def sum_of(self, node: str, after: int, upto: int) -> Sum:
        total = Sum()
        for page in self._pages(node, after, upto):
            total += sum_rows(map(row_of, page))
        return total

    def held(self) -> int:
        with speaking("_count"):
            self._client.indices.refresh(index=PATTERN)
            answer = self._client.search(
                index=PATTERN, size=0, track_total_hits=True, allow_partial_search_results=False,
                **EVERY,
            )  # fmt: skip
        return int(whole(answer.body, "_search")["hits"]["total"]["value"])

    def clear(self) -> int:
        gone = self.held()
        with speaking("_delete"):
            for index in sorted(self._client.indices.get(index=PATTERN, features="settings").body):
                self._client.indices.delete(index=index)
        return gone

    @cached_property
    def _superseded(self) -> dict[str, str]:
        """Nobody else works on the state, so that once is enough."""
        with self._state.read() as session:
            rows = session.execute(sa.select(Superseded.event, Superseded.by))
            return {event: by for event, by in rows}  # noqa: C416 - a result of rows is no mapping

    def _pages(self, node: str, after: int, upto: int) -> Iterator[list[Source]]:
        chosen = [
            {"term": {f"{events.NODE}.exact": node}},
            {"range": {events.SEQUENCE: {"gt": after, "lte": upto}}},
        ]
        for page in hits(
            self._client, {"bool": {"filter": chosen}}, sort=[{events.SEQUENCE: "asc"}],
            source=_MADE, size=SMALL_PAGE,
        ):  # fmt: skip
            yield [hit["_source"] for hit in page]

    def _refresh(self, indices: list[str]) -> None:
        if indices:
            with speaking("_refresh"):
                whole(self._client.indices.refresh(index=indices).body, "_refresh")
