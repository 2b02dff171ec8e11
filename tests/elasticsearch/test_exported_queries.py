"""A real node takes the queries that sigma-cli writes with the exported taxonomy, and each difference of what they
find to what the matcher finds has a cause.

Taken: one rule in eight of SigmaHQ's, over an empty index with the taxonomy's columns (measured once over all 3,743
queries: none was refused). Compared: one rule in a hundred and fifty, every variant, over our own index, which holds events made
of those rules' values and a part of the Windows corpus; `make queries` compares all of them and prints the table.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sigma.backends.elasticsearch import LuceneBackend
from sigma.exceptions import SigmaError
from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaRule
from support.elasticsearch import empty_store
from support.event_tables import NOW, event_commit, kind_of
from support.exported import cause
from support.provoke import provoked
from support.states import empty_state

from pipeline.detect.matching.compile import Compiled, compile_rules
from pipeline.detect.matching.tree import any_of
from pipeline.detect.rulebook.export import export_pipeline, variants
from pipeline.detect.rulebook.rules import load_rules
from pipeline.detect.rulebook.taxonomy import Taxonomy
from pipeline.model import events
from pipeline.model.clock import to_micros
from pipeline.model.detections import Window
from pipeline.model.records import RawRecord
from pipeline.model.scope import Scope
from pipeline.normalise.context import Context
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import load_products
from pipeline.settings.places import config_dir
from pipeline.store.base import Commit
from pipeline.store.elasticsearch.indices import family_of
from pipeline.store.elasticsearch.store import ElasticsearchStore

INDEX = "taxonomy-export-test"
EVERY = 8
COMPARED = int(os.environ.get("COMPARE_EVERY", "150"))
REFUSALS = (
    "too many clauses",  # more than a node takes, where words meet many terms
    r"expected '\"' at position",  # sigma-cli leaves a quotation mark in an expression as it is: to Lucene it begins a literal
)
LONGEST = 20_000  # characters of a query: one of thousands of wildcards takes a node minutes


def call(url: str, method: str, path: str, body: str = "") -> Any:
    kind = "application/x-ndjson" if path.endswith("_msearch") else "application/json"
    request = urllib.request.Request(
        url + path, data=body.encode() or None, method=method, headers={"Content-Type": kind}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


@pytest.fixture
def index(elasticsearch_url: str) -> Iterator[str]:
    """An empty index of keywords without case, one a column."""
    columns = Taxonomy.load(config_dir() / "taxonomy").columns()
    field = {"type": "keyword", "normalizer": "lower"}
    body = {
        "settings": {
            "number_of_replicas": 0,
            "index.mapping.total_fields.limit": 10_000,
            "analysis": {"normalizer": {"lower": {"type": "custom", "filter": ["lowercase"]}}},
        },
        "mappings": {"properties": dict.fromkeys(columns, field)},
    }
    call(elasticsearch_url, "PUT", f"/{INDEX}", json.dumps(body))
    yield INDEX
    call(elasticsearch_url, "DELETE", f"/{INDEX}")


def test_a_node_takes_every_query(elasticsearch_url: str, index: str, sigma_rules: Path) -> None:
    taxonomy = Taxonomy.load(config_dir() / "taxonomy")
    backend = LuceneBackend(ProcessingPipeline.from_yaml(export_pipeline(taxonomy)))
    queries: list[tuple[str, str]] = []
    for path in sorted(sigma_rules.glob("rules*/**/*.yml"))[::EVERY]:
        try:
            made = backend.convert_rule(SigmaRule.from_yaml(path.read_text("utf-8")))
        except SigmaError:
            continue  # `tests/detect/rulebook/test_export.py` says which, and why
        queries += [(path.name, query) for query in made]
    assert len(queries) > 3_600 // EVERY
    refused = []
    for start in range(0, len(queries), 100):
        part = queries[start : start + 100]
        search = ({"size": 0, "query": {"query_string": {"query": query}}} for _, query in part)
        body = "".join(f'{{"index": "{index}"}}\n{json.dumps(each)}\n' for each in search)
        answers = call(elasticsearch_url, "POST", "/_msearch", body)["responses"]
        refused += [
            (name, answer["error"])
            for (name, _), answer in zip(part, answers, strict=True)
            if "error" in answer
        ]
    assert refused == []


def test_each_difference_of_a_query_to_the_matcher_has_a_cause(
    elasticsearch_url: str, tmp_path: Path, sigma_rules: Path, corpora: Path
) -> None:
    taxonomy = Taxonomy.load(config_dir() / "taxonomy")
    compiled = compile_rules(load_rules([sigma_rules]).rules[::COMPARED], taxonomy)
    state = empty_state(tmp_path / "state.sqlite")
    store = empty_store(elasticsearch_url, state)
    fill(store, compiled, corpora)
    matched, rows = matches(store, compiled)
    found = answers(store, compiled, taxonomy)
    causes: dict[str, Counter[str]] = {}
    for place, ids in found.items():
        counted = causes.setdefault(compiled.rules[place].title, Counter())
        for one in ids ^ matched[place]:
            dataset, row = rows[one]
            routed = (each for each in compiled.routed.get(dataset, ()) if each.rule == place)
            counted[cause(any_of(each.whole for each in routed), row, one in ids)] += 1
    agree = sum(not counted for counted in causes.values())
    out = len(compiled.rules) - len(causes)
    lines = [
        (
            f"{agree} of {len(causes)} rules agree, {sum(map(len, matched.values()))} matches; "
            f"{out} more were not asked or are refused by the node"
        )
    ]
    total = sum(causes.values(), Counter())
    for name, count in total.most_common():
        having = sum(name in each for each in causes.values())
        lines.append(f"{count:>7} in {having:>4} rules  {name or 'UNKNOWN'}")
    lines += [f"  {title}: {dict(each)}" for title, each in sorted(causes.items()) if each]
    print("\n".join(lines))
    store.close()
    state.close()
    assert agree > len(causes) / 4
    assert {title: each for title, each in causes.items() if "" in each} == {}


def fill(store: ElasticsearchStore, compiled: Compiled, corpora: Path) -> None:
    """Two events made of each rule's values, and a part of the recorded ones."""
    dice = random.Random(7)
    first = 1
    for dataset, routed in sorted(compiled.routed.items()):
        made = [fitted(provoked(each, dice)) for each in routed for _ in range(2)]
        store.append(event_commit(made, first, dataset=dataset), now=NOW)
        first += len(made)
    with gzip.open(corpora / "windows-events.ndjson.gz") as file:
        records = [
            RawRecord(n, "s", to_micros(NOW), line.rstrip(b"\n"))
            for n, line in enumerate(
                [x for n, x in enumerate(file) if n % (20 * min(COMPARED, 4)) == 0], 1
            )
        ]
    context = Context(node="corpus", agency="a", source="s", key=bytes(16), ingested=0)
    done = normalise(load_products()["windows"], records, context)
    store.append(Commit("corpus", 1, len(records), done.tables, dropped=done.dropped), now=NOW)


def fitted(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as a normaliser would leave it: what is no number of a numeric column is a leftover."""
    made: dict[str, Any] = {events.ORIGINAL: row.get(events.ORIGINAL)}
    left: list[tuple[str, str]] = []
    for name, value in row.items():
        values = [one for one in (value if isinstance(value, list) else [value]) if one is not None]
        if name in (events.ORIGINAL, events.DATASET) or not values:
            continue
        kind = kind_of(name)
        inner = kind.value_type if pa.types.is_list(kind) else kind
        try:
            cast = pa.array(values, pa.string()).cast(inner).to_pylist()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            left.append((name, values[-1]))
            continue
        made[name] = cast if pa.types.is_list(kind) else cast[-1]
    return made | ({events.EXTRA: left} if left else {})


Rows = dict[str, tuple[str, Mapping[str, Any]]]


def matches(store: ElasticsearchStore, compiled: Compiled) -> tuple[dict[int, set[str]], Rows]:
    """By rule the ids that the matcher finds in a scan, and all rows by id."""
    matched: dict[int, set[str]] = defaultdict(set)
    rows: Rows = {}
    window = Window({node: (0, last) for node, last in store.watermark().items()})
    columns = {
        name: frozenset({events.ORIGINAL}) | asked for name, asked in compiled.columns.items()
    }
    for dataset, table in store.scan(window, scope=Scope.everything(), columns=columns):
        ids = [one.hex() for one in table.column(events.ID).to_pylist()]
        places, rules = compiled.match(dataset, table)
        for place, rule in zip(places.tolist(), rules.tolist(), strict=True):
            matched[rule].add(ids[place])
        for name, row in zip(ids, table.to_pylist(), strict=True):
            rows[name] = dataset, {k: v for k, v in row.items() if v is not None}
    return matched, rows


def answers(
    store: ElasticsearchStore, compiled: Compiled, taxonomy: Taxonomy
) -> dict[int, set[str]]:
    """By rule the ids that its queries find, over the variants that its log source has."""
    feeding: dict[int, set[str]] = defaultdict(set)
    for dataset, routed in compiled.routed.items():
        for each in routed:
            feeding[each.rule].add(f"logs-thapcanh.{family_of(dataset)}-kept-2026.11")
    asked: list[tuple[int, str]] = []
    whole: set[int] = set(range(len(compiled.rules)))
    for variant in range(1, variants(taxonomy) + 1):
        backend = LuceneBackend(ProcessingPipeline.from_yaml(export_pipeline(taxonomy, variant)))
        for place, rule in enumerate(compiled.rules):
            try:
                made = backend.convert_rule(SigmaRule.from_yaml(rule.text))
            except (SigmaError, NotImplementedError):
                whole -= {place} if variant == 1 else set()
                continue
            whole -= {place} if any(len(query) > LONGEST for query in made) else set()
            asked += [(place, query) for query in made]
    asked = [(place, query) for place, query in asked if place in whole]
    found: dict[int, set[str]] = {place: set() for place in whole}
    refused: set[int] = set()
    for start in range(0, len(asked), 50):
        part = asked[start : start + 50]
        searches: list[Any] = []
        for place, query in part:
            searches.append({"index": sorted(feeding[place])})
            searches.append(
                {"size": 10_000, "_source": False, "query": {"query_string": {"query": query}}}
            )
        answer = store.client.options(request_timeout=300).msearch(searches=searches)
        for (place, _), one in zip(part, answer["responses"], strict=True):
            if "error" in one:
                said = json.dumps(one["error"])
                assert any(reason in said for reason in REFUSALS), (
                    compiled.rules[place].title,
                    said,
                )
                refused.add(place)
            else:
                found[place] |= {hit["_id"] for hit in one["hits"]["hits"]}
    return {place: ids for place, ids in found.items() if place not in refused}
