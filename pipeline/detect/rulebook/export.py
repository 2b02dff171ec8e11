"""The taxonomy as a processing pipeline of pySigma, for sigma-cli and whatever else reads such files.

In: the taxonomy. Out: YAML. `sigma convert -t lucene -p thapcanh-1.yml rule.yml` then gives a query over
Elasticsearch with our datasets and columns, for hunting and for other systems; detection itself never
uses it.

A rule becomes one query with one field map, but a log source may have routes with different maps
(process creation is Sysmon 1 and Security 4688): the first map is variant 1, the next variant 2, and so
on. `variants(taxonomy)` says how many there are; all of them together find what the matcher finds.
A field without a column, and a log source without a route, are errors of the conversion, with the
taxonomy's reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import yaml

from pipeline.detect.rulebook.rules import LogSource
from pipeline.detect.rulebook.taxonomy import FieldMap, Route, Taxonomy
from pipeline.model.errors import UsageError

NAMESPACE: Final = "thapcanh"
_NONE: Final = "none"  # the field map of a log source that lacks the variant
PRIORITY: Final = 20
"""Between the pipelines that prepare rules (10) and those that serve a backend (50)."""


def export_pipeline(taxonomy: Taxonomy, variant: int = 1) -> str:
    """The pipeline file of a variant, from 1. The same taxonomy gives the same text."""
    count = variants(taxonomy)
    if not 1 <= variant <= count:
        raise UsageError("no such variant", got=str(variant), expected=f"1 to {count}")
    items: list[dict[str, Any]] = []
    chosen: list[tuple[int, list[Route]]] = []
    for number, source in enumerate(_sources(taxonomy)):
        groups = _groups(taxonomy.routes_for(source))
        group = groups[variant - 1] if len(groups) >= variant else []
        items += _chooses(source, number, group[0].map if group else _NONE)
        if group:
            chosen.append((number, group))
    items += _refuses(variant)
    for name in dict.fromkeys(group[0].map for _, group in chosen):
        items += _renames(taxonomy.maps[name], name)
    items += [_limits(group, number) for number, group in chosen]
    document = {
        "name": f"Thap Canh, taxonomy {taxonomy.digest[:12]}, variant {variant} of {count}",
        "priority": PRIORITY,
        "transformations": items,
    }
    text = yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
    return f"# Written by `thapcanh rules export-taxonomy`; do not edit.\n{text}"


def variants(taxonomy: Taxonomy) -> int:
    """How many files it takes to hold every route."""
    return max(len(_groups(taxonomy.routes_for(source))) for source in _sources(taxonomy))


def _sources(taxonomy: Taxonomy) -> list[LogSource]:
    """Every log source that the files name, the most specific first; of a category without a product
    also each product that it has datasets of."""
    found = {route.logsource: None for route in taxonomy.routes}
    for route in taxonomy.routes:
        source = route.logsource
        if source.category and not source.product and not source.service:
            products = {dataset.split(".")[0] for dataset in route.datasets}
            found |= dict.fromkeys(
                LogSource(product, source.category) for product in sorted(products)
            )
        elif source.category and not source.service:
            found.setdefault(LogSource("", source.category, ""))
    return sorted(
        found, key=lambda s: (-bool(s.product) - bool(s.category) - bool(s.service), not s.service, str(s))
    )  # fmt: skip


def _groups(routes: Sequence[Route]) -> list[list[Route]]:
    """Routes that one query can hold together: the same map, and an OR that one list of values says."""
    groups: list[list[Route]] = []
    for route in routes:
        for group in groups:
            if group[0].map == route.map and _differ_in_one(group, route):
                group.append(route)
                break
        else:
            groups.append([route])
    return groups


def _differ_in_one(group: Sequence[Route], route: Route) -> bool:
    """Whether the product of all conditions stays exact when the route comes to the group."""
    merged = _merged(group)
    own = _conditions(route)
    if set(merged) != set(own):
        return False
    return sum(set(own[column]) != set(merged[column]) for column in own) <= 1


def _conditions(route: Route) -> dict[str, list[str]]:
    return {"event.dataset": list(route.datasets)} | {
        column: list(values) for column, values in route.where
    }


def _merged(group: Sequence[Route]) -> dict[str, list[str]]:
    merged: dict[str, dict[str, None]] = {}
    for route in group:
        for column, values in _conditions(route).items():
            merged.setdefault(column, {}).update(dict.fromkeys(values))
    return {column: list(values) for column, values in merged.items()}


_CHOSEN: Final = {
    "type": "processing_state", "key": f"{NAMESPACE}_source", "val": 0, "op": "gte",
}  # fmt: skip


def _chooses(source: LogSource, number: int, names: str) -> Iterator[dict[str, Any]]:
    """Marks a rule with the number of the first log source that it fits, and with its field map."""
    named = {"product": source.product, "category": source.category, "service": source.service}
    yield {
        "id": f"{NAMESPACE}_source_{number}",
        "type": "set_state", "key": f"{NAMESPACE}_source", "val": number,
        "rule_conditions": {
            "fits": {"type": "logsource"} | {key: value for key, value in named.items() if value},
            "chosen": _CHOSEN,
        },
        "rule_cond_expr": "fits and not chosen",
    }  # fmt: skip
    yield {
        "id": f"{NAMESPACE}_map_{number}",
        "type": "set_state", "key": f"{NAMESPACE}_map", "val": names,
        "rule_conditions": [_state("source", number)],
    }  # fmt: skip


def _state(key: str, value: int | str) -> dict[str, Any]:
    return {"type": "processing_state", "key": f"{NAMESPACE}_{key}", "val": value}


def _refuses(variant: int) -> Iterator[dict[str, Any]]:
    yield {
        "id": f"{NAMESPACE}_no_source",
        "type": "rule_failure", "message": "the taxonomy has no route for this log source",
        "rule_conditions": {"chosen": _CHOSEN, "rule": {"type": "is_sigma_rule"}},
        "rule_cond_expr": "rule and not chosen",
    }  # fmt: skip
    yield {
        "id": f"{NAMESPACE}_no_variant",
        "type": "rule_failure", "message": f"this log source has fewer than {variant} variants",
        "rule_conditions": [_state("map", _NONE)],
    }  # fmt: skip


def _renames(names: FieldMap, name: str) -> Iterator[dict[str, Any]]:
    """A map's items: what has no column fails, what follows a pattern is prefixed, the rest renamed."""
    where = {"rule_conditions": [_state("map", name)]}
    for number, (field, why) in enumerate(names.without.items()):
        yield {
            "id": f"{NAMESPACE}_{name}_without_{number}",
            "type": "detection_item_failure", "message": f"{field} has no column: {why}",
            **where, "field_name_conditions": [{"type": "include_fields", "fields": [field]}],
        }  # fmt: skip
    heads = {f"{head}.": f"{column}." for head, column in names.under.items()}
    listed = [*names.fields, *names.without]
    plain = {field: column for field, column in names.fields.items() if field != column}
    other = [{"type": "exclude_fields", "fields": listed}]
    if heads:
        other.append({
            "type": "exclude_fields", "mode": "re",
            "fields": [re.escape(head) for head in heads],
        })  # fmt: skip
    if names.any:
        yield {
            "id": f"{NAMESPACE}_{name}_any",
            "type": "field_name_prefix", "prefix": names.any.removesuffix("{}"),
            **where, "field_name_conditions": other,
        }  # fmt: skip
    else:
        named = {"type": "include_fields", "mode": "re", "fields": ["."]}
        yield {
            "id": f"{NAMESPACE}_{name}_unknown",
            "type": "detection_item_failure", "message": f"a field without a column (map {name})",
            **where, "field_name_conditions": [named, *other], "field_name_cond_op": "and",
        }  # fmt: skip
    if heads:
        yield {
            "id": f"{NAMESPACE}_{name}_under", "type": "field_name_prefix_mapping", "mapping": heads,
            **where, "field_name_conditions": [{"type": "exclude_fields", "fields": listed}],
        }  # fmt: skip
    if plain:
        yield {
            "id": f"{NAMESPACE}_{name}", "type": "field_name_mapping", "mapping": plain, **where,
        }  # fmt: skip


def _limits(group: Sequence[Route], number: int) -> dict[str, Any]:
    """Holds the query to the route's events. Last, so that these columns are not renamed."""
    return {
        "id": f"{NAMESPACE}_limit_{number}",
        "type": "add_condition",
        "conditions": {
            column: values[0] if len(values) == 1 else values
            for column, values in _merged(group).items()
        },
        "name": f"_{NAMESPACE}_{number}",
        "rule_conditions": [_state("source", number)],
    }


class _Plain(yaml.SafeDumper):
    """Without anchors: the file is read by people too."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
