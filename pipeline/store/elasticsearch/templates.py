"""What an index looks like: one index template, made from ECS, the columns that rules read, and the envelope.

In: nothing but those. Out: the body of ``_index_template/thapcanh-events``, and what `thapcanh store init` would
change. Its digest stands in the mapping's ``_meta``, of the template and of each index, so that nothing is ever
written into an index that would keep a column without finding it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import unified_diff
from functools import cache
from typing import Any, Final

from pipeline.model import events
from pipeline.model.ids import content_hash
from pipeline.store.elasticsearch.columns import (
    FIND,
    INTERNAL,
    LONG_TOKENS,
    OTHER,
    SUPERSEDED,
    TEXT,
    TYPED,
    WHOLE,
    mapped,
)

NAME: Final = "thapcanh-events"
PREFIX: Final = "logs-thapcanh."
PATTERN: Final = PREFIX + "*"
_PRIORITY: Final = 500  # above the built-in data-stream template `logs-*-*` of real clusters
_EXACT: Final = frozenset({events.AGENCY, events.NODE, events.DATASET})
_KEPT: Final = {"type": "keyword", "index": False, "doc_values": False}


@cache
def mappings() -> dict[str, Any]:
    """The mapping, flat: dotted names, as documents have them."""
    fields: dict[str, Any] = {}
    for name, kind in mapped().items():
        fields[name] = _field(name, kind)
        typed = {"date": "long", "long": "double", "float": "double", "ip": "ip"}.get(kind)
        if typed:
            fields[TYPED + name] = {"type": typed}
    fields[TEXT] = {"type": "text", "analyzer": "whitespace", "norms": False}
    fields[LONG_TOKENS] = fields[FIND] = {"type": "keyword", "doc_values": True}
    fields[SUPERSEDED] = {"type": "keyword"}
    for name in (OTHER, WHOLE):
        fields[name] = {"type": "object", "enabled": False}
    assert set(fields) >= INTERNAL
    body = {"dynamic": False, "date_detection": False, "properties": fields}
    digest = content_hash(json.dumps(body, sort_keys=True))
    return {**body, "_meta": {"thapcanh": digest}}


def digest_of(mapping: dict[str, Any]) -> str:
    """The digest that a mapping carries; empty if it is not ours."""
    return str((mapping.get("_meta") or {}).get("thapcanh", ""))


@cache
def template() -> dict[str, Any]:
    """The body of the index template."""
    settings = {
        "index": {
            "number_of_shards": "1",
            "auto_expand_replicas": "0-1",
            "refresh_interval": "30s",  # each commit asks for its own
            # A word without a field, in other people's queries: else each looks through a thousand fields.
            "query": {"default_field": [TEXT]},
            "mapping": {"total_fields": {"limit": "10000"}, "ignore_malformed": "true"},
            "analysis": {"normalizer": {"lower": {"type": "custom", "filter": ["lowercase"]}}},
        }
    }
    return {
        "index_patterns": [PATTERN],
        "priority": _PRIORITY,
        "template": {"settings": settings, "mappings": mappings()},
    }


def present(client: Any) -> dict[str, Any] | None:
    """The template as the cluster has it; None if there is none."""
    found = client.options(ignore_status=404).indices.get_index_template(name=NAME)
    listed = found.body.get("index_templates") or []
    return dict(listed[0]["index_template"]) if listed else None


def is_current(there: dict[str, Any]) -> bool:
    return digest_of(there.get("template", {}).get("mappings", {})) == digest_of(mappings())


def difference(there: dict[str, Any] | None) -> Iterator[str]:
    """Lines of a diff from what the cluster has to what is wanted; none if they say the same."""
    before = _lines(there) if there else []
    yield from unified_diff(before, _lines(template()), "cluster", "wanted", lineterm="", n=0)


def put(client: Any) -> None:
    client.indices.put_index_template(name=NAME, **template())


def _field(name: str, kind: str) -> dict[str, Any]:
    match kind:
        case "long":
            return {"type": "long"}
        case "float":
            return {"type": "double"}
        case "boolean" | "ip" | "date":
            return {"type": kind}
        case "id":
            return {"type": "keyword"}
        case "words":
            return dict(_KEPT)
        case "sealed":
            return {"type": "binary"} if name == events.ORIGINAL_BYTES else dict(_KEPT)
    field: dict[str, Any] = {"type": "keyword", "normalizer": "lower"}
    if name in _EXACT:
        field["fields"] = {"exact": {"type": "keyword"}}
    return field


def _lines(body: dict[str, Any]) -> list[str]:
    """A line a setting and a field, sorted; the cluster answers nested what was sent dotted."""
    inner = body.get("template", {})
    rest = {
        name: value for name, value in inner.get("mappings", {}).items() if name != "properties"
    }
    found = _settings(
        {"priority": body.get("priority"), **inner.get("settings", {}), "mappings": rest}
    )
    fields = _fields(inner.get("mappings", {}).get("properties", {}))
    return sorted(found) + sorted(f"field {name}: {said}" for name, said in fields)


def _settings(tree: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from _settings(value, f"{prefix}.{name}" if prefix else name)
    elif tree is not None:
        yield f"{prefix}: {str(tree).lower()}"


def _fields(properties: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, field in properties.items():
        inner = field.get("properties")
        if inner is not None:
            yield from _fields(inner, f"{prefix}{name}.")
        else:
            yield prefix + name, json.dumps(field, sort_keys=True)
