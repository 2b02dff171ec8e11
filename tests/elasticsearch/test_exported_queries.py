"""A real node takes the queries that sigma-cli writes with the exported taxonomy.

One rule in eight of SigmaHQ's, over an
empty index with the taxonomy's columns (measured once over all 3,743 queries: none was refused).
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sigma.backends.elasticsearch import LuceneBackend
from sigma.exceptions import SigmaError
from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaRule

from pipeline.detect.export import export_pipeline
from pipeline.detect.taxonomy import Taxonomy
from pipeline.settings.places import config_dir

INDEX = "taxonomy-export-test"
EVERY = 8


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
            continue  # `tests/detect/test_export.py` says which, and why
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
