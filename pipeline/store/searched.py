"""What people ask of any store: its own search does the work, and a page says what is damaged and could not be looked at.

In: a class with a search of its own (`_search`) and the state. Out: the questions of `base.SearchableStore`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.store.base import Page, TimeRange
from pipeline.store.lake.verify import missing


class Search(Protocol):
    """One store's way to answer."""

    def search(
        self, query: str, *, scope: Scope, when: TimeRange, limit: int, after: str | None
    ) -> Page: ...

    def count(self, query: str, *, scope: Scope, when: TimeRange) -> int: ...

    def histogram(
        self, query: str, *, scope: Scope, when: TimeRange, step: timedelta
    ) -> list[tuple[datetime, int]]: ...

    def top(
        self, query: str, field: str, *, scope: Scope, when: TimeRange, limit: int
    ) -> list[tuple[str, int]]: ...


class Searched:
    """See `base.SearchableStore`."""

    _state: State
    _search: Search

    def search(
        self,
        query: str,
        *,
        scope: Scope,
        when: TimeRange,
        limit: int = 50,
        after: str | None = None,
    ) -> Page:
        page = self._search.search(query, scope=scope, when=when, limit=limit, after=after)
        return replace(page, missing=missing(self._state, scope, when))

    def count(self, query: str, *, scope: Scope, when: TimeRange) -> int:
        return self._search.count(query, scope=scope, when=when)

    def histogram(
        self, query: str, *, scope: Scope, when: TimeRange, step: timedelta
    ) -> list[tuple[datetime, int]]:
        return self._search.histogram(query, scope=scope, when=when, step=step)

    def top(
        self, query: str, field: str, *, scope: Scope, when: TimeRange, limit: int = 10
    ) -> list[tuple[str, int]]:
        return self._search.top(query, field, scope=scope, when=when, limit=limit)
