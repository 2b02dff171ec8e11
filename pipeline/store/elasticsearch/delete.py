"""Deletes an agency's events by the time of their receipt; what a legal hold covers stays.

In: an agency and a moment. Out: how many events went. Of a month that is long past an index is deleted whole or not at
all where a hold covers something in it: it is kept whole, and `kept_whole` says so. An index of which nothing would
remain is deleted, once nobody can write into it any more; elsewhere the events go by id, found by a scan. Holds are read
again before each step. Killed anywhere, a second call does the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from pipeline.model import events
from pipeline.model.clock import to_micros
from pipeline.model.errors import ServiceAwayError
from pipeline.state.state import State
from pipeline.state.tables.lake import Hold
from pipeline.store.base import KeptWhole
from pipeline.store.elasticsearch.client import reason_of, speaking
from pipeline.store.elasticsearch.columns import MICROS, TYPED
from pipeline.store.elasticsearch.indices import month_of
from pipeline.store.elasticsearch.scan import hits
from pipeline.store.elasticsearch.templates import PATTERN
from pipeline.store.steps import step

_PAGE: Final = 2_000
_CREATED: Final = TYPED + events.CREATED


def delete_before(
    client: Any, state: State, agency: str, moment: datetime, *, now: datetime
) -> int:
    """See the module. `moment` bounds `event.created`, itself excluded."""
    with speaking("_stats"):
        found = client.indices.get_settings(
            index=PATTERN, name="index.uuid", ignore_unavailable=True, allow_no_indices=True
        )
        client.indices.refresh(index=PATTERN, ignore_unavailable=True, allow_no_indices=True)
    gone = 0
    for index in sorted(found.body):
        month = month_of(index)
        if month is not None and month <= (moment.year, moment.month):
            gone += _thin(client, state, index, agency, moment, now)
    return gone


def kept_whole(client: Any, state: State, *, now: datetime) -> list[KeptWhole]:
    """The indices of months long past in which a hold covers something."""
    held = _held(state)
    if not held:
        return []
    with speaking("_stats"):
        found = client.indices.get_settings(
            index=PATTERN, name="index.uuid", ignore_unavailable=True, allow_no_indices=True
        )
    closed = sorted(name for name in found.body if month_of(name) and _closed(name, now))
    return [
        KeptWhole(name, _count(client, name, {"match_all": {}}), there)
        for name in closed
        if (there := _held_in(client, name, held))
    ]


def _thin(
    client: Any, state: State, index: str, agency: str, moment: datetime, now: datetime
) -> int:
    query = _doomed(state, agency, moment)
    doomed = _count(client, index, query)
    if not doomed or (_closed(index, now) and _held_in(client, index, _held(state))):
        return 0
    if _closed(index, now) and doomed == _count(client, index, {"match_all": {}}):
        gone = _drop(client, state, index, agency, moment)
        if gone is not None:
            return gone
    gone = 0
    while doomed:  # again, if a hold came meanwhile
        for names in _ids(client, index, query):
            if _doomed(state, agency, moment) != query:
                break
            step("delete.before")
            gone += _delete(client, index, names)
            step("delete.after")
        else:
            break
        query = _doomed(state, agency, moment)
    with speaking("_refresh"):
        client.indices.refresh(index=index, ignore_unavailable=True)
    return gone


def _closed(index: str, now: datetime) -> bool:
    """Nothing is received into it any more, and what was has long been settled."""
    year, month = month_of(index) or (now.year, now.month)
    return (now.year * 12 + now.month) - (year * 12 + month) >= 2


def _drop(client: Any, state: State, index: str, agency: str, moment: datetime) -> int | None:
    """Delete the whole index, after nobody can write into it; None if something else lies in it after all."""
    with speaking("_block"):
        client.indices.add_block(index=index, block="write")
    gone = None
    try:
        with speaking("_refresh"):
            client.indices.refresh(index=index)
        doomed = _count(client, index, _doomed(state, agency, moment))
        if doomed == _count(client, index, {"match_all": {}}):
            step("delete.before")
            with speaking("_delete"):
                client.indices.delete(index=index)
            gone = doomed
    finally:
        if gone is None:
            with speaking("_settings"):
                client.indices.put_settings(index=index, settings={"index.blocks.write": None})
    return gone


def _held(state: State) -> list[dict[str, Any]]:
    """What holds in force cover, of any agency."""
    chosen = sa.select(Hold.agency, Hold.first_time, Hold.last_time).where(Hold.released.is_(None))
    with state.read() as session:
        rows = session.execute(chosen).all()
    return [
        {"bool": {"filter": [
            {"term": {f"{events.AGENCY}.exact": agency}},
            {"range": {MICROS: {"gte": to_micros(first), "lte": to_micros(last)}}},
        ]}}
        for agency, first, last in rows
    ]  # fmt: skip


def _held_in(client: Any, index: str, held: list[dict[str, Any]]) -> int:
    query = {"bool": {"should": held, "minimum_should_match": 1}}
    return _count(client, index, query) if held else 0


def _doomed(state: State, agency: str, moment: datetime) -> dict[str, Any]:
    """The events that go; one without one of the times stays."""
    chosen = sa.select(Hold.first_time, Hold.last_time).where(
        Hold.agency == agency, Hold.released.is_(None)
    )
    with state.read() as session:
        held = sorted(
            (to_micros(first), to_micros(last)) for first, last in session.execute(chosen)
        )
    return {
        "bool": {
            "filter": [
                {"term": {f"{events.AGENCY}.exact": agency}},
                {"range": {_CREATED: {"lt": to_micros(moment)}}},
                {"exists": {"field": MICROS}},
            ],
            "must_not": [{"range": {MICROS: {"gte": first, "lte": last}}} for first, last in held],
        }
    }


def _count(client: Any, index: str, query: dict[str, Any]) -> int:
    with speaking("_count"):
        answer = client.count(index=index, query=query)
    if answer["_shards"]["failed"]:
        raise ServiceAwayError("Elasticsearch counted in part only", where=index)
    return int(answer["count"])


def _ids(client: Any, index: str, query: dict[str, Any]) -> Iterator[list[str]]:
    order = [{events.ID: "asc"}]
    for page in hits(client, query, index=index, sort=order, source=False, size=_PAGE):
        yield [hit["_id"] for hit in page]


def _delete(client: Any, index: str, names: list[str]) -> int:
    """How many of them went; one that was gone already does not count."""
    lines = [{"delete": {"_index": index, "_id": name}} for name in names]
    with speaking("_bulk"):
        answer = client.bulk(operations=lines)
    gone = 0
    for item in answer["items"]:
        said = item["delete"]
        if said["status"] == 200:
            gone += 1
        elif said["status"] != 404:
            raise ServiceAwayError(
                "an event cannot be deleted", where=index, got=reason_of(said),
                remedy="it is tried again",
            )  # fmt: skip
    return gone
