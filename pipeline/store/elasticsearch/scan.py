"""Reading many events at one instant: a point in time, page after page by `search_after`.

In: a filter and an order. Out: hits, all of them or an error; no page is skipped, none comes twice, whatever is
written or deleted meanwhile. At most one page is in memory. A cluster that lacks the memory for a page (429) is asked
for half of it, a little later.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from pipeline.model import events
from pipeline.model.scope import Scope
from pipeline.store.columns import ALWAYS
from pipeline.store.elasticsearch.client import refusal, speaking, whole
from pipeline.store.elasticsearch.columns import OTHER, SUPERSEDED, TYPED, WHOLE, mapped
from pipeline.store.elasticsearch.rows import table_of
from pipeline.store.elasticsearch.templates import PATTERN
from pipeline.store.elasticsearch.translate import within

if TYPE_CHECKING:
    import pyarrow as pa

PAGE: Final = 5_000
SMALL_PAGE: Final = 500
"""Where whole events are read, which may be of a megabyte each."""
_KEEP: Final = "5m"
_SECONDS: Final = 120.0
_LEAST: Final = 20
_TIRES: Final = 6
"""So often a page is asked for again: some ten seconds."""
_WAIT: Final = 0.15


def hits(
    client: Any,
    query: Mapping[str, Any],
    *,
    index: str = PATTERN,
    sort: Any,
    source: Any,
    size: int,
) -> Iterator[list[dict[str, Any]]]:
    """The hits in pages. `source` is what of `_source` is wanted, as Elasticsearch has it."""
    with speaking("_pit"):
        opened = client.open_point_in_time(
            index=index, keep_alive=_KEEP, ignore_unavailable=False, expand_wildcards="open,closed"
        )
    point = opened["id"]
    more: dict[str, Any] = {}
    busy = 0
    try:
        while True:
            with speaking("_search"):
                answer = client.options(request_timeout=_SECONDS, ignore_status=429).search(
                    pit={"id": point, "keep_alive": _KEEP}, query=query, sort=sort, size=size,
                    source=source, track_total_hits=False, allow_partial_search_results=False, **more,
                )  # fmt: skip
            if answer.meta.status == 429:
                if busy >= _TIRES:
                    raise refusal("_search", 429, answer.body)
                size = max(_LEAST, size // 2)
                time.sleep(_WAIT * 2**busy)
                busy += 1
                continue
            busy = 0
            found = whole(answer.body, "_search")
            point = found.get("pit_id", point)
            page = found["hits"]["hits"]
            if page:
                yield page
            if len(page) < size:
                return
            more = {"search_after": page[-1]["sort"]}
    finally:
        with contextlib.suppress(Exception):
            client.close_point_in_time(id=point)


def scan(
    client: Any,
    spans: Mapping[str, tuple[int, int]],
    scope: Scope,
    columns: Mapping[str, frozenset[str] | None] | None,
) -> Iterator[tuple[str, pa.Table]]:
    """See `base.Store`: node by node in the order of receipts."""
    everything = columns is None or any(
        wanted is None or events.ORIGINAL in wanted for wanted in columns.values()
    )
    for node, (after, upto) in sorted(spans.items()):
        chosen: list[dict[str, Any]] = [
            {"term": {f"{events.NODE}.exact": node}},
            {"range": {events.SEQUENCE: {"gt": after, "lte": upto}}},
            *within(scope),
        ]
        if columns is not None:
            chosen.append({"terms": {f"{events.DATASET}.exact": sorted(columns)}})
        query = {"bool": {"filter": chosen, "must_not": [{"exists": {"field": SUPERSEDED}}]}}
        for page in hits(
            client, query, sort=[{events.SEQUENCE: "asc"}], source=_source(columns),
            size=SMALL_PAGE if everything else PAGE,
        ):  # fmt: skip
            by_dataset: dict[str, list[dict[str, Any]]] = {}
            for hit in page:
                source = hit["_source"]
                by_dataset.setdefault(source[events.DATASET], []).append(source)
            for dataset, sources in by_dataset.items():
                yield dataset, table_of(sources, None if columns is None else columns[dataset])


def _source(columns: Mapping[str, frozenset[str] | None] | None) -> Any:
    """What of the documents is sent: what was added to find them never is."""
    if columns is None or None in columns.values():
        return {"excludes": ["thapcanh.text", "thapcanh.find", "thapcanh.long_tokens"]}
    names = set(ALWAYS).union(*(wanted for wanted in columns.values() if wanted))
    names |= {TYPED + name for name in names if mapped().get(name) == "date"}
    return sorted(names | {events.EXTRA, OTHER, WHOLE})
