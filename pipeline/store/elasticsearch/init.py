"""Preparing a cluster: the template, and the mapping of indices that an older program made.

In: the settings. Out: a plan that can be shown before it is carried out; carrying it out twice changes nothing more.
Fields are only ever added: Elasticsearch lets nobody change the type of one that is there, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from pipeline.settings.values import ElasticsearchSettings
from pipeline.store.elasticsearch import templates
from pipeline.store.elasticsearch.client import connect, speaking


@dataclass(frozen=True, slots=True)
class Plan:
    """`fresh`: there is no template yet; `changes`: there is another one. `indices` lack columns."""

    fresh: bool
    changes: bool
    difference: Sequence[str]
    indices: Sequence[str]


def plan(settings: ElasticsearchSettings) -> Plan:
    """What would be done. ServiceAwayError when the cluster does not answer."""
    with closing(connect(settings)) as client, speaking("_index_template"):
        there = templates.present(client)
        found = client.indices.get_mapping(
            index=templates.PATTERN, ignore_unavailable=True, allow_no_indices=True
        )
        wanted = templates.digest_of(templates.mappings())
        return Plan(
            there is None,
            there is not None and not templates.is_current(there),
            tuple(templates.difference(there)) if there is not None else (),
            sorted(n for n, one in found.items() if templates.digest_of(one["mappings"]) != wanted),
        )


def carry_out(settings: ElasticsearchSettings, wanted: Plan) -> None:
    mapping = templates.mappings()
    with closing(connect(settings)) as client:
        if wanted.fresh or wanted.changes:
            with speaking("_index_template"):
                templates.put(client)
        for index in wanted.indices:
            with speaking(f"_mapping of {index}"):
                client.indices.put_mapping(
                    index=index, properties=mapping["properties"], meta=mapping["_meta"]
                )
