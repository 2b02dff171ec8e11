"""A real node for tests, one a session, and stores on it that begin empty."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from support.needs import missing

from pipeline.settings.values import ElasticsearchSettings
from pipeline.state.state import State
from pipeline.store.elasticsearch.store import ElasticsearchStore
from pipeline.store.elasticsearch.templates import PATTERN

_HERE = Path(__file__).resolve().parents[1] / "elasticsearch" / "node.py"


def node_module() -> ModuleType:
    """`tests/elasticsearch/node.py`, which is a command and not of a package."""
    import sys

    spec = importlib.util.spec_from_file_location("elasticsearch_node", _HERE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def own_node(**more: Any) -> Any:
    """A node of the test's own, to be killed; the caller stops it and removes its home."""
    node = node_module()
    if what := node.lacking():
        missing(what, node.HOW)
    return node.start(Path(tempfile.mkdtemp(prefix="thapcanh-node-")), **more)


def session_node() -> Iterator[str]:
    """The address of a node; ELASTICSEARCH_URL's, else one that is started and ended here."""
    given = os.environ.get("ELASTICSEARCH_URL", "")
    if given:
        yield given
        return
    node = own_node()
    try:
        yield node.url
    finally:
        node.kill()
        shutil.rmtree(node.home, ignore_errors=True)


def store_at(url: str, state: State, **more: Any) -> ElasticsearchStore:
    return ElasticsearchStore(ElasticsearchSettings(hosts=(url,), **more), state)


def empty_store(url: str, state: State) -> ElasticsearchStore:
    """A store whose indices are all gone."""
    store = store_at(url, state)
    wipe(store)
    return store


def wipe(store: ElasticsearchStore) -> None:
    for index in list(store.client.indices.get(index=PATTERN, features="settings").body):
        store.client.indices.delete(index=index)
