"""How the cluster is: whether it answers, takes documents, and has the template of this program.

Out: a `Health`; a note says what is wrong and what to do. A fresh cluster without a template is well: the first
commit puts it there. Where all is well, notes are advice on the size of shards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pipeline.model.errors import ThapCanhError
from pipeline.store.base import Health
from pipeline.store.elasticsearch import templates
from pipeline.store.elasticsearch.client import speaking

LARGE: Final = 50_000_000_000
GOOD: Final = 30_000_000_000
"""Bytes of a shard: past the first, recovery and merges take hours; the second is aimed at."""
MANY: Final = 800


def health_of(client: Any) -> Health:
    try:
        with speaking("_cluster/health"):
            return _looked(client)
    except ThapCanhError as error:
        return Health("away", [str(error)])


def _looked(client: Any) -> Health:
    cluster = client.cluster.health(timeout="5s")
    notes = []
    if cluster["status"] == "red":
        notes.append(
            f"shards of the cluster are missing ({cluster['unassigned_shards']} unassigned): "
            "GET _cluster/allocation/explain says why; until then searches and runs wait"
        )
    there = templates.present(client)
    if there is not None and not templates.is_current(there):
        notes.append(
            "the index template is another program's: thapcanh store init shows the difference"
        )
    settings = client.indices.get_settings(
        index=templates.PATTERN,
        name="index.blocks.*",
        ignore_unavailable=True,
        allow_no_indices=True,
    )
    blocked = sorted(
        name
        for name, found in settings.items()
        if found.get("settings", {}).get("index", {}).get("blocks")
    )
    if blocked:
        notes.append(
            f"{', '.join(blocked[:3])} take{'s' if len(blocked) == 1 else ''} no documents (index.blocks): make "
            "room on the cluster's disks, then set index.blocks.read_only_allow_delete to null"
        )
    closed = client.indices.get(
        index=templates.PATTERN, expand_wildcards="closed", features="settings"
    )
    if closed.body:
        notes.append(
            f"closed: {', '.join(sorted(closed.body)[:3])}; no search is answered until they are opened "
            "(POST index/_open)"
        )
    stats = client.indices.stats(index=templates.PATTERN, metric=["docs", "store"], level="shards")
    sizes = stats["_all"]["primaries"]
    figures = {
        "indices": len(stats.get("indices", {})),
        "events": sizes.get("docs", {}).get("count", 0),
        "bytes": sizes.get("store", {}).get("size_in_bytes", 0),
    }
    if notes:
        return Health("degraded", notes, figures)
    each = {
        name: (
            one["primaries"]["store"]["size_in_bytes"],
            len(one["shards"]),
        )
        for name, one in stats.get("indices", {}).items()
    }
    nodes = int(cluster["number_of_data_nodes"])
    return Health("ok", list(advice(each, int(cluster["active_shards"]), nodes)), figures)


def advice(indices: Mapping[str, tuple[int, int]], shards: int, nodes: int) -> Iterator[str]:
    """What to do about sizes: `indices` by name as bytes and shards, all `shards` of the cluster."""
    large = max(indices, key=lambda name: indices[name][0] / max(indices[name][1], 1), default="")
    if large:
        size, count = indices[large]
        if size > LARGE * count:
            yield (
                f"{large} holds {size / 1e9:,.0f} GB in {count} shard{'s' if count > 1 else ''}, of which one takes "
                f"{LARGE / 1e9:.0f} GB at most: set store.elasticsearch.shards to {-(-size // GOOD)}; it counts "
                "from the next month's indices on"
            )
    if nodes and shards > MANY * nodes:
        yield (
            f"{shards:,} shards on {nodes} node{'s' if nodes > 1 else ''}, of 1,000 a node that a cluster takes: "
            "delete what is past its retention, or add a node"
        )
