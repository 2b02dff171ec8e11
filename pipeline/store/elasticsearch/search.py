"""Search for people: pages, counts, histograms and top values, newest first, within a scope.

In: a query, a scope, a time range. Out: what `base.SearchableStore` says, exactly: counts are of all events, top
values of all values (composite pages, never a sample of each shard). An answer of some shards only is an error.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from pipeline.model import events
from pipeline.model.clock import from_micros, to_iso
from pipeline.model.errors import LimitError, UsageError
from pipeline.model.scope import Scope
from pipeline.store.base import Page, TimeRange
from pipeline.store.elasticsearch.client import EVERY, speaking, whole
from pipeline.store.elasticsearch.columns import FIND, MICROS, kind_of, leftover, mapped
from pipeline.store.elasticsearch.rows import document_of
from pipeline.store.elasticsearch.templates import PATTERN
from pipeline.store.elasticsearch.translate import Body, filtered
from pipeline.store.lake.search import MAX_BARS, MAX_TOP
from pipeline.store.paging import Key, check_limit, read_key, write_key
from pipeline.store.query import parse

_PAGE: Final = 5_000
_VALUES: Final = 500_000  # different values that are counted at most
_LEFTOVERS: Final = 60_000
_ORDER: Final = [{MICROS: "desc"}, {events.ID: "desc"}]


class Search:
    """Asks one cluster. May be used by several threads."""

    def __init__(self, client: Any, *, seconds: float) -> None:
        self._client, self._seconds = client, seconds

    def search(
        self, query: str, *, scope: Scope, when: TimeRange, limit: int, after: str | None
    ) -> Page:
        """See `base.SearchableStore`."""
        check_limit(limit)
        before = None if after is None else read_key(after, query)
        body: dict[str, Any] = {"size": limit + 1, "sort": _ORDER, "track_total_hits": False}
        if before is not None:
            body["search_after"] = [before.time, before.id.hex()]
        hits = self._ask(self._filter(query, scope, when), **body)["hits"]["hits"]
        following = None
        if len(hits) > limit:
            time, name = hits[limit - 1]["sort"]
            following = write_key(Key(int(time), bytes.fromhex(name)), query)
        return Page([document_of(hit["_source"]) for hit in hits[:limit]], following)

    def count(self, query: str, *, scope: Scope, when: TimeRange) -> int:
        """See `base.SearchableStore`."""
        answer = self._ask(self._filter(query, scope, when), size=0, track_total_hits=True)
        return int(answer["hits"]["total"]["value"])

    def histogram(
        self, query: str, *, scope: Scope, when: TimeRange, step: timedelta
    ) -> list[tuple[datetime, int]]:
        """See `base.SearchableStore`."""
        width = step // timedelta(microseconds=1)
        if width < 1_000 or width % 1_000:
            raise UsageError(
                "a step of a histogram is whole milliseconds", where="step", got=str(step)
            )
        source = {"histogram": {"field": MICROS, "interval": width}}
        bars = []
        for bucket in self._buckets(self._filter(query, scope, when), source):
            bars.append((from_micros(int(bucket["key"]["value"])), int(bucket["doc_count"])))
            if len(bars) > MAX_BARS:
                raise LimitError(
                    "the histogram has too many bars", where="step", got=str(step),
                    expected=f"{MAX_BARS} bars at most", remedy="take a longer step or a shorter time",
                )  # fmt: skip
        return sorted(bars)

    def top(
        self, query: str, field: str, *, scope: Scope, when: TimeRange, limit: int
    ) -> list[tuple[str, int]]:
        """See `base.SearchableStore`."""
        if not 1 <= limit <= MAX_TOP:
            raise UsageError("not so many top values", got=str(limit), expected=f"1 to {MAX_TOP}")
        kind = kind_of(field)
        if kind in ("id", "words", "sealed"):
            raise UsageError(
                "values of this field are not counted", where="field", got=field,
                remedy="take a field whose values repeat",
            )  # fmt: skip
        chosen = self._filter(query, scope, when)
        counts: Counter[str] = Counter()
        if field in mapped():
            for bucket in self._buckets(chosen, {"terms": {"field": field}}):
                counts[_said(kind, bucket["key"]["value"])] += int(bucket["doc_count"])
                if len(counts) > _VALUES:
                    raise _too_many(field, len(counts))
            chosen = {"bool": {"filter": [chosen], "must_not": [{"exists": {"field": field}}]}}
        counts.update(self._leftovers(chosen, field))
        return sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:limit]

    def _filter(self, query: str, scope: Scope, when: TimeRange) -> Body:
        return filtered(parse(query, kind_of), scope, when)

    def _buckets(self, query: Body, source: Body) -> Iterator[Mapping[str, Any]]:
        """Every bucket of a composite aggregation over one source."""
        after: Mapping[str, Any] | None = None
        while True:
            composite: dict[str, Any] = {"size": _PAGE, "sources": [{"value": source}]}
            if after is not None:
                composite["after"] = after
            asked = {"all": {"composite": composite}}
            found = self._ask(query, size=0, aggs=asked).get("aggregations")
            buckets = found["all"]["buckets"] if found else []
            yield from buckets
            if len(buckets) < _PAGE:
                return
            after = found["all"]["after_key"] if found else None

    def _leftovers(self, query: Body, field: str) -> dict[str, int]:
        """Values of a name that stand among the leftovers."""
        head = leftover(field, "")
        terms = {"field": FIND, "size": _LEFTOVERS, "include": f"{_literal(head)}.*"}
        found = self._ask(query, size=0, aggs={"all": {"terms": terms}}).get("aggregations")
        if not found:
            return {}
        if found["all"].get("sum_other_doc_count"):
            raise _too_many(field, _LEFTOVERS)
        return {one["key"][len(head) :]: int(one["doc_count"]) for one in found["all"]["buckets"]}

    def _ask(self, query: Body, **body: Any) -> Mapping[str, Any]:
        with speaking("_search"):
            answer = self._client.options(request_timeout=self._seconds + 5).search(
                index=PATTERN, query=query, timeout=f"{int(self._seconds * 1000)}ms",
                allow_partial_search_results=False, **EVERY, **body,
            )  # fmt: skip
        return whole(answer.body, "_search")


def _too_many(field: str, count: int) -> LimitError:
    return LimitError(
        "the field has too many different values to count", where=field,
        got=f"more than {count - 1}", remedy="narrow the query or the time",
    )  # fmt: skip


def _said(kind: str, value: Any) -> str:
    """A value of a bucket as the lake counts it."""
    match kind:
        case "date":
            return to_iso(from_micros(int(value) * 1_000)).lower()
        case "boolean":
            return str(value).lower()
    return str(value)


def _literal(text: str) -> str:
    """For Lucene's regular expressions, in which more characters mean something than in Python's."""
    return re.sub(r"([^\w\s])", r"\\\1", text, flags=re.ASCII)
