"""What Elasticsearch finds is what the oracle finds, for any query over any events; the same events go in once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from support.elasticsearch import empty_store
from support.event_tables import NOW, event_commit
from support.query_examples import QUERIES, ROWS
from support.query_oracle import holds
from support.states import empty_state

from pipeline.model.errors import QueryError
from pipeline.model.scope import Scope
from pipeline.store.base import ALL_TIME
from pipeline.store.elasticsearch.columns import kind_of
from pipeline.store.elasticsearch.store import ElasticsearchStore
from pipeline.store.query import parse

ALL: dict[str, Any] = {"scope": Scope.everything(), "when": ALL_TIME}


@pytest.fixture(scope="module")
def filled(
    elasticsearch_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ElasticsearchStore, list[dict[str, Any]]]]:
    """Several hundred events of two datasets, drawn once."""
    state = empty_state(tmp_path_factory.mktemp("meaning") / "state.sqlite")
    store = empty_store(elasticsearch_url, state)
    drawn: list[dict[str, Any]] = []

    @settings(max_examples=300, database=None, deadline=None)
    @given(row=ROWS)
    def draw(row: dict[str, Any]) -> None:
        drawn.append(row)

    draw()
    random.Random(1).shuffle(drawn)
    rows: list[dict[str, Any]] = []
    for number, dataset in enumerate(("test.log", "other.log")):
        part = drawn[number::2]
        commit = event_commit(part, len(rows) + 1, dataset=dataset)
        store.append(commit, now=NOW)
        rows += commit.tables[dataset].to_pylist()
    yield store, rows
    store.close()
    state.close()


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(query=QUERIES)
def test_elasticsearch_finds_what_the_oracle_finds(
    filled: tuple[ElasticsearchStore, list[dict[str, Any]]], query: str
) -> None:
    store, rows = filled
    try:
        tree = parse(query, kind_of)
    except QueryError:
        return
    expected = {row["event.id"].hex() for row in rows if holds(tree, row)}
    page = store.search(query, limit=1_000, **ALL)
    found = [document["event"]["id"] for document in page.documents]
    assert (set(found), len(found)) == (expected, len(expected))
    assert store.count(query, **ALL) == len(expected)
