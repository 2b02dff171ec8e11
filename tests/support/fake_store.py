"""A store in memory for tests of pages: documents given, queries answered as every store does, scope held.

Queries are read by the real parser and decided by the oracle of the stores' own tests. It records every
scope that it was asked with, and can be away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from support.query_oracle import holds

from pipeline.model.clock import EPOCH, to_micros
from pipeline.model.documents import flatten
from pipeline.model.errors import ServiceAwayError
from pipeline.model.scope import Scope
from pipeline.store.base import Health, KeptWhole, Page, TimeRange
from pipeline.store.paging import Key, read_key, write_key
from pipeline.store.query import parse


class FakeStore:
    def __init__(self, documents: Iterable[dict[str, Any]]) -> None:
        self.documents = [(document, flatten(document)) for document in documents]
        self.scopes: list[Scope] = []
        self.away = False
        self.whole: list[KeptWhole] = []

    @classmethod
    def of(cls, flattened: Iterable[tuple[dict[str, Any], dict[str, Any]]]) -> FakeStore:
        """Over the documents of another, flattened already."""
        made = cls(())
        made.documents = list(flattened)
        return made

    def _chosen(self, query: str, scope: Scope, when: TimeRange) -> list[dict[str, Any]]:
        self.scopes.append(scope)
        if self.away:
            raise ServiceAwayError("the store does not answer")
        tree = parse(query)
        found = []
        for document, flat in self.documents:
            time = _time(flat)
            if not scope.allows(flat["organization.id"]):
                continue
            if (when.start and time < when.start) or (when.stop and time >= when.stop):
                continue
            if holds(tree, _row(flat)):
                found.append((time, flat["event.id"], document))
        return [document for *_, document in sorted(found, key=lambda one: one[:2], reverse=True)]

    def search(
        self,
        query: str,
        *,
        scope: Scope,
        when: TimeRange,
        limit: int = 50,
        after: str | None = None,
    ) -> Page:
        found = self._chosen(query, scope, when)
        if after is not None:
            key = read_key(after, query)
            found = [document for document in found if _key(document) < key]
        more = write_key(_key(found[limit - 1]), query) if len(found) > limit else None
        return Page(found[:limit], more)

    def count(self, query: str, *, scope: Scope, when: TimeRange) -> int:
        return len(self._chosen(query, scope, when))

    def histogram(
        self, query: str, *, scope: Scope, when: TimeRange, step: timedelta
    ) -> list[tuple[datetime, int]]:
        counts = Counter(
            EPOCH + (_time(flatten(document)) - EPOCH) // step * step
            for document in self._chosen(query, scope, when)
        )
        return sorted(counts.items())

    def get(
        self,
        ids: Sequence[str],
        *,
        scope: Scope,
        when: TimeRange = TimeRange(),  # noqa: B008
    ) -> list[dict[str, Any]]:
        found = {flatten(d)["event.id"]: d for d in self._chosen("", scope, TimeRange())}
        return [found[one] for one in ids if one in found]

    def top(self, *_: Any, **__: Any) -> list[tuple[str, int]]:
        return []

    def watermark(self) -> dict[str, int]:
        return {"collect-1": 61_340}

    def kept_whole(self, *, now: datetime) -> list[KeptWhole]:
        if self.away:
            raise ServiceAwayError("the store does not answer")
        return list(self.whole)

    def health(self) -> Health:
        return Health("ok")

    def close(self) -> None:
        pass


def _key(document: dict[str, Any]) -> Key:
    flat = flatten(document)
    return Key(to_micros(_time(flat)), bytes.fromhex(flat["event.id"]))


def _time(flat: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(flat["@timestamp"]).astimezone(UTC)


def _row(flat: dict[str, Any]) -> dict[str, Any]:
    """A flattened document as the oracle wants a row: times and the id as a store keeps them."""
    return {**flat, "@timestamp": _time(flat), "event.id": bytes.fromhex(flat["event.id"])}
