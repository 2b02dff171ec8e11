"""`thapcanh store init`: the template is there, a change is shown before it is made, and nothing is made twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.drill_home import DrillHome
from support.elasticsearch import empty_store
from support.event_tables import NOW, event_commit
from support.states import empty_state

from pipeline.model.errors import ServiceAwayError
from pipeline.model.scope import Scope
from pipeline.store.base import ALL_TIME
from pipeline.store.elasticsearch import templates
from pipeline.store.elasticsearch.store import ElasticsearchStore

ALL: dict[str, Any] = {"scope": Scope.everything(), "when": ALL_TIME}


@pytest.fixture
def store(elasticsearch_url: str, tmp_path: Path) -> Any:
    state = empty_state(tmp_path / "state.sqlite")
    opened = empty_store(elasticsearch_url, state)
    yield opened
    templates.put(opened.client)
    opened.close()
    state.close()


def home(tmp_path: Path, url: str) -> DrillHome:
    at = DrillHome(tmp_path / "home")
    with (at.home / "thapcanh.yml").open("a") as settings:
        settings.write(f"store: {{kind: elasticsearch, elasticsearch: {{hosts: ['{url}']}}}}\n")
    return at


def older() -> dict[str, Any]:
    """The template of a program that knew one column less."""
    body = templates.template()
    mappings = dict(body["template"]["mappings"])
    mappings["properties"] = {n: f for n, f in mappings["properties"].items() if n != "user.name"}
    mappings["_meta"] = {"thapcanh": "older"}
    return {**body, "template": {**body["template"], "mappings": mappings}}


def test_it_makes_the_template_shows_a_change_and_waits_for_yes(
    tmp_path: Path, elasticsearch_url: str, store: ElasticsearchStore
) -> None:
    at = home(tmp_path, elasticsearch_url)
    store.client.options(ignore_status=404).indices.delete_index_template(name=templates.NAME)
    assert '"template": "made"' in at.say("store", "init", "--json").stdout
    assert '"template": "as wanted"' in at.say("store", "init", "--json").stdout
    assert list(templates.difference(templates.present(store.client))) == []

    store.client.indices.put_index_template(name=templates.NAME, **older())
    asked = at.say("store", "init")
    assert (asked.returncode, "nothing was changed" in asked.stderr) == (3, True)
    shown = [line for line in asked.stdout.splitlines() if "field" in line]
    assert shown == ['+field user.name: {"normalizer": "lower", "type": "keyword"}']
    assert not templates.is_current(templates.present(store.client) or {})
    assert "template is another program's" in at.say("doctor").stdout

    done = at.say("store", "init", "--yes")
    assert (done.returncode, "changed" in done.stdout) == (0, True)
    assert templates.is_current(templates.present(store.client) or {})


def test_an_older_template_stops_settling_and_an_older_index_is_widened(
    store: ElasticsearchStore,
) -> None:
    store.client.indices.put_index_template(name=templates.NAME, **older())
    index = "logs-thapcanh.test-kept-2026.11"
    store.client.indices.create(index=index)
    commit = event_commit([{"user.name": "Lan"}], 1)
    with pytest.raises(ServiceAwayError, match="thapcanh store init"):
        store.append(commit, now=NOW)
    assert store.watermark() == {}
    templates.put(store.client)
    store.append(commit, now=NOW)
    assert store.count("user.name:lan", **ALL) == 1
    assert store.top("", "user.name", **ALL) == [("lan", 1)]


def test_the_lake_needs_no_preparation(tmp_path: Path) -> None:
    said = DrillHome(tmp_path / "home").say("store", "init")
    assert (said.returncode, "the lake needs no preparation" in said.stderr) == (2, True)


def test_our_template_wins_over_a_cluster_s_own_for_all_logs(store: ElasticsearchStore) -> None:
    body = {
        "index_patterns": ["logs-*-*"], "priority": 100,
        "template": {"mappings": {"properties": {"event.id": {"type": "text"}, "user.name": {"type": "text"}}}},
    }  # fmt: skip
    store.client.indices.put_index_template(name="logs", **body)
    try:
        store.append(event_commit([{"user.name": "Lan"}], 1), now=NOW)
        assert store.top("", "user.name", **ALL) == [("lan", 1)]
        found = store.client.indices.get_mapping(index="logs-thapcanh.*").body
        assert [templates.digest_of(one["mappings"]) for one in found.values()] == [
            templates.digest_of(templates.mappings())
        ]
    finally:
        store.client.indices.delete_index_template(name="logs")
