"""Single events by their ids: where they are, whose receipt they are, what takes their place.

In: hex ids. Out: hits of every index of ours. What a commit has just created is read by `others`, which needs no
refresh; all else has been refreshed before it was settled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pipeline.model import events
from pipeline.model.clock import to_micros
from pipeline.model.errors import ServiceAwayError
from pipeline.store.elasticsearch.client import EVERY, reason_of, speaking, whole
from pipeline.store.elasticsearch.columns import FIND, LONG_TOKENS, SUPERSEDED, TEXT, TYPED
from pipeline.store.elasticsearch.documents import Prepared
from pipeline.store.elasticsearch.templates import PATTERN

_CHUNK: Final = 1_000
_RECEIPT: Final = [events.NODE, events.SEQUENCE]
_MADE: Final = {"excludes": [TEXT, FIND, LONG_TOKENS]}


def by_id(client: Any, ids: Sequence[str], *, source: Any = _MADE) -> Iterator[dict[str, Any]]:
    """The hits of these ids, in no order."""
    yield from _found(client, ids, source, None)


def receipts(client: Any, ids: Sequence[str], *, since: datetime) -> dict[str, tuple[str, int]]:
    """Of the ids that are there, received since then: whose receipt each is, as (node, sequence)."""
    return {
        hit["_id"]: (hit["_source"][events.NODE], hit["_source"][events.SEQUENCE])
        for hit in _found(client, ids, _RECEIPT, since)
    }


def others(client: Any, there: Sequence[Prepared], node: str) -> frozenset[int]:
    """Of the events that were there, the sequences of those that another receipt had put there: the rest was made
    by us before a crash, or by a request whose answer was lost."""
    found: set[int] = set()
    for start in range(0, len(there), _CHUNK):
        part = there[start : start + _CHUNK]
        asked = [{"_index": one.index, "_id": one.id, "_source": _RECEIPT} for one in part]
        with speaking("_mget"):
            answer = client.mget(docs=asked)
        for one, hit in zip(part, answer["docs"], strict=True):
            if not hit.get("found"):
                raise ServiceAwayError(
                    "an event was there and is gone", where=one.index, got=one.id,
                    remedy="it is tried again",
                )  # fmt: skip
            said = hit["_source"]
            if (said[events.NODE], said[events.SEQUENCE]) != (node, one.sequence):
                found.add(one.sequence)
    return frozenset(found)


def mark_superseded(client: Any, marks: Mapping[str, str | None]) -> None:
    """Write into each old event which one takes its place (None: none does after all)."""
    if not marks:
        return
    lines: list[Any] = []
    indices = set()
    for hit in by_id(client, sorted(marks), source=False):
        lines.append(
            {"update": {"_index": hit["_index"], "_id": hit["_id"], "retry_on_conflict": 3}}
        )
        lines.append({"doc": {SUPERSEDED: marks[hit["_id"]]}})
        indices.add(hit["_index"])
    if not lines:
        return
    with speaking("_bulk"):
        answer = client.bulk(operations=lines)
        client.indices.refresh(index=sorted(indices))
    for item in answer["items"]:
        if item["update"]["status"] not in (200, 404):  # gone meanwhile: nothing shows it any more
            raise ServiceAwayError(
                "a superseded event cannot be marked", got=reason_of(item["update"]),
                remedy="it is tried again",
            )  # fmt: skip


def _found(
    client: Any, ids: Sequence[str], source: Any, since: datetime | None
) -> Iterator[dict[str, Any]]:
    for part in _parts(ids):
        chosen: list[dict[str, Any]] = [{"ids": {"values": part}}]
        if since is not None:
            limits = {"gte": to_micros(since)}
            chosen.append({"range": {TYPED + events.CREATED: limits}})
        with speaking("_search"):
            answer = client.search(
                index=PATTERN, query={"bool": {"filter": chosen}}, size=10 * _CHUNK, source=source,
                track_total_hits=False, allow_partial_search_results=False, **EVERY,
            )  # fmt: skip
        yield from whole(answer.body, "_search")["hits"]["hits"]


def _parts(ids: Iterable[str]) -> Iterator[list[str]]:
    listed = list(dict.fromkeys(ids))
    for start in range(0, len(listed), _CHUNK):
        yield listed[start : start + _CHUNK]
