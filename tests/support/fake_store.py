"""A store in memory for tests of pages: documents given, a few forms of query understood, scope held.

Understood: words, ``field:"value"``, ``field:value``, joined by AND. ``NOT A QUERY(`` is refused as the
real stores refuse what they cannot read. It records every scope it was asked with.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.console.pivots import flatten
from pipeline.model.clock import EPOCH
from pipeline.model.errors import ServiceAwayError, UsageError
from pipeline.model.scope import Scope
from pipeline.store.base import Health, Page, TimeRange

_CLAUSE = re.compile(r'([\w.@-]+):"((?:[^"\\]|\\.)*)"|([\w.@-]+):(\S+)|"((?:[^"\\]|\\.)*)"|(\S+)')


class FakeStore:
    def __init__(self, documents: Iterable[dict[str, Any]]) -> None:
        self.documents = [(document, flatten(document)) for document in documents]
        self.scopes: list[Scope] = []
        self.away = False

    def _chosen(self, query: str, scope: Scope, when: TimeRange) -> list[dict[str, Any]]:
        self.scopes.append(scope)
        if self.away:
            raise ServiceAwayError("the store does not answer")
        if query.count("(") != query.count(")"):
            raise UsageError("this is not a query", got=query)
        found = []
        for document, flat in self.documents:
            time = _time(flat)
            if not scope.allows(flat["organization.id"]):
                continue
            if (when.start and time < when.start) or (when.stop and time >= when.stop):
                continue
            if all(_holds(flat, clause) for clause in _CLAUSE.findall(query)):
                found.append((time, document))
        return [document for _, document in sorted(found, key=lambda one: one[0], reverse=True)]

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
        start = int(after or 0)
        more = str(start + limit) if len(found) > start + limit else None
        return Page(found[start : start + limit], more)

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
        return {}

    def health(self) -> Health:
        return Health("ok")

    def close(self) -> None:
        pass


def _time(flat: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(flat["@timestamp"]).astimezone(UTC)


def _holds(flat: dict[str, Any], clause: tuple[str, ...]) -> bool:
    field, quoted, plain_field, plain, phrase, word = clause
    if field or plain_field:
        wanted = re.sub(r"\\(.)", r"\1", quoted) if field else plain
        value = flat.get(field or plain_field)
        return wanted in [str(one) for one in (value if isinstance(value, list) else [value])]
    if word == "AND":
        return True
    text = re.sub(r"\\(.)", r"\1", phrase) or word
    return any(text.casefold() in str(value).casefold() for value in flat.values())
