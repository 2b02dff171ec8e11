"""What shippers ask of an "Elasticsearch" before and between their bulk requests.

In: a request's method and path. Out: status and JSON body, or None for a path that is not answered.
Built to the public description of each client: a version and the ``X-Elastic-Product`` header (product
check of the official clients), a licence (Logstash), and yes to templates, policies, pipelines, data
streams and aliases that a shipper sets up for itself and that mean nothing here.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

VERSION: Final = "8.19.0"
PRODUCT_HEADER: Final = (b"x-elastic-product", b"Elasticsearch")

_ROOT: Final[dict[str, Any]] = {
    "name": "thapcanh",
    "cluster_name": "thapcanh",
    "cluster_uuid": "thapcanh-collector-000",
    "version": {
        "number": VERSION,
        "build_flavor": "default",
        "build_type": "tar",
        "build_hash": "0" * 40,
        "build_date": "2025-07-01T00:00:00.000000000Z",
        "build_snapshot": False,
        "lucene_version": "9.12.2",
        "minimum_wire_compatibility_version": "7.17.0",
        "minimum_index_compatibility_version": "7.0.0",
    },
    "tagline": "You Know, for Search",
}
_LICENCE: Final = {
    "license": {
        "status": "active",
        "uid": "00000000-0000-0000-0000-000000000000",
        "type": "basic",
        "issue_date": "2025-01-01T00:00:00.000Z",
        "issue_date_in_millis": 1735689600000,
        "max_nodes": 1000,
        "issued_to": "thapcanh",
        "issuer": "elasticsearch",
        "start_date_in_millis": -1,
    }
}
_HEALTH: Final = {
    "cluster_name": "thapcanh",
    "status": "green",
    "timed_out": False,
    "number_of_nodes": 1,
    "number_of_data_nodes": 1,
}
_XPACK: Final = {
    "license": {"uid": "0", "type": "basic", "mode": "basic", "status": "active"},
    "features": {"ilm": {"available": True, "enabled": True}},
}
_YES: Final = {"acknowledged": True}
_NODES: Final[dict[str, Any]] = {
    "_nodes": {"total": 1, "successful": 1, "failed": 0},
    "cluster_name": "thapcanh",
    "nodes": {},
}

_FIXED: Final[dict[str, dict[str, Any]]] = {
    "/": _ROOT,
    "/_license": _LICENCE,
    "/_xpack": _XPACK,
    "/_cluster/health": _HEALTH,
    "/_nodes": _NODES,
    "/_nodes/http": _NODES,
    "/_nodes/_all/http": _NODES,
    "/_cat/templates": {},
}
_SET_UP: Final = re.compile(
    r"/(_index_template|_template|_component_template|_ilm|_ingest|_data_stream|_alias|_aliases)(/.*)?"
    r"|/_cluster/settings"
    r"|/[^_/][^/]*(/(_alias|_mapping|_settings|_rollover)(/.*)?)?"
)


def answer(method: str, path: str) -> tuple[int, bytes] | None:
    """The status and the body (to be left out for HEAD) of a shipper's question."""
    plain = path.rstrip("/") or "/"
    if method in {"GET", "HEAD"} and plain in _FIXED:
        return 200, json.dumps(_FIXED[plain]).encode()
    if _SET_UP.fullmatch(plain) is None:
        return None
    if method in {"PUT", "POST", "DELETE"}:
        return 200, json.dumps(_YES).encode()
    if method in {"GET", "HEAD"}:
        return 200, b"{}"
    return None
