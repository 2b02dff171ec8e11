"""Rules and taxonomy in, one set out that evaluates all of them over a table of events at once.

    compiled = compile_rules(book.rules, taxonomy)
    rows, rules = compiled.match("windows.sysmon", table)      # two arrays of the same length, one pair a match
    compiled.unfit["0248a7bc-…"]                               # why a rule cannot fire here

A rule is evaluated on each route of its log source, with that route's names of fields, over the rows
that the route's conditions leave. It is *unfit* when no route of it is left: a log source that nothing
feeds, a field without a column, a placeholder without values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pipeline.detect.columnar import KEYWORDS, LITERAL_OPS, Ints, Mask, Rows, Search
from pipeline.detect.rules import Rule
from pipeline.detect.taxonomy import FieldMap, Route, Taxonomy
from pipeline.detect.tree import FALSE, Leaf, Node, all_of, any_of, leaves, rebuild
from pipeline.model import events
from pipeline.model.errors import UsageError
from pipeline.model.ids import content_hash

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = "1"  # of what a compiled set decides; a change makes every rule set a new one


@dataclass(frozen=True)
class Plan:
    """The rules that read one kind of event, with their trees in column names."""

    datasets: tuple[str, ...]
    where: Node
    rules: tuple[tuple[int, Node], ...]

    @cached_property
    def searches(self) -> dict[str, Search]:
        asked: dict[str, dict[Leaf, None]] = {}
        for tree in (self.where, *(tree for _, tree in self.rules)):
            for leaf in leaves(tree):
                if leaf.op in LITERAL_OPS and not leaf.cased:
                    asked.setdefault(leaf.field or KEYWORDS, {})[leaf] = None
        return {name: Search(found) for name, found in asked.items()}

    @cached_property
    def guard(self) -> dict[str, Search]:
        asked: dict[str, dict[Leaf, None]] = {}
        for leaf in leaves(self.where):
            asked.setdefault(leaf.field or KEYWORDS, {})[leaf] = None
        return {name: Search(found) for name, found in asked.items()}


class Compiled:
    """A compiled set. `rules` are those that can fire; a match names a rule by its place among them."""

    def __init__(
        self, rules: Sequence[Rule], unfit: Mapping[str, str], plans: Sequence[Plan], digest: str
    ) -> None:
        self.rules, self.unfit, self.digest = tuple(rules), dict(unfit), digest
        self.plans = tuple(plans)

    @cached_property
    def columns(self) -> Mapping[str, frozenset[str]]:
        """Of each dataset that some rule reads, the columns (`event.original` for keywords)."""
        found: dict[str, set[str]] = {}
        for plan in self.plans:
            names = {
                name
                for tree in (plan.where, *(tree for _, tree in plan.rules))
                for leaf in leaves(tree)
                for name in _names(leaf)
            }
            for dataset in plan.datasets:
                found.setdefault(dataset, set()).update(names)
        return {dataset: frozenset(names) for dataset, names in found.items()}

    def match(self, dataset: str, table: pa.Table) -> tuple[Ints, Ints]:
        """Every match: rows of the table and places in `rules`, sorted by row, then rule."""
        pairs: set[tuple[int, int]] = set()
        for plan in self.plans:
            if dataset not in plan.datasets:
                continue
            every = np.ones(table.num_rows, dtype=np.bool_)
            chosen = np.flatnonzero(Rows(table, plan.guard).select(plan.where, every))
            if not len(chosen):
                continue
            part = table if len(chosen) == table.num_rows else table.take(chosen)
            rows = Rows(part, plan.searches)
            all_rows: Mask = np.ones(part.num_rows, dtype=np.bool_)
            for rule, tree in plan.rules:
                found = rows.select(tree, all_rows)
                if found.any():
                    pairs.update((int(row), rule) for row in chosen[found])
        ordered = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
        return ordered[:, 0], ordered[:, 1]


def compile_rules(
    rules: Iterable[Rule],
    taxonomy: Taxonomy,
    *,
    scope: str | None = None,
) -> Compiled:
    """The set of the single-event rules among `rules`. `scope` keeps to the routes marked by it."""
    fit: list[Rule] = []
    unfit: dict[str, str] = {}
    plans: dict[tuple[tuple[str, ...], Node], list[tuple[int, Node]]] = {}
    for rule in rules:
        trees, why = _trees(rule, taxonomy, scope)
        if not trees:
            unfit[rule.id] = why
            continue
        for route, tree in trees:
            plans.setdefault((route.datasets, _condition(route)), []).append((len(fit), tree))
        fit.append(rule)
    digest = content_hash(
        VERSION, taxonomy.digest, scope or "", *sorted(r.revision for r in fit), *sorted(unfit)
    )
    made = [Plan(datasets, where, tuple(found)) for (datasets, where), found in plans.items()]
    return Compiled(fit, unfit, made, digest)


def _trees(
    rule: Rule, taxonomy: Taxonomy, scope: str | None
) -> tuple[list[tuple[Route, Node]], str]:
    """The rule's tree on each route of it that works, or why none does."""
    if rule.body is None:
        return [], "a correlation is not evaluated by this version"
    if unfilled := sorted({leaf.arg for leaf in leaves(rule.body) if leaf.op == "unfilled"}):
        return [], f"a placeholder without values: {', '.join(unfilled)}"
    routes = taxonomy.routes_for(rule.logsource, scope)
    if not routes:
        return [], f"no product feeds this log source: {rule.logsource}"
    found, missing = [], set[str]()
    for route in routes:
        try:
            tree = rebuild(rule.body, _renamer(taxonomy.maps[route.map]))
        except UsageError as error:
            missing.add(error.got)
            continue
        if tree != FALSE:
            found.append((route, tree))
    if missing:
        why = f"a field without a column: {', '.join(sorted(missing))}"
    else:
        why = "its condition can never hold"
    return found, why


class _renamer:  # noqa: N801 - used as the function that it is
    def __init__(self, names: FieldMap) -> None:
        self._names = names

    def __call__(self, leaf: Leaf) -> Node:
        if leaf.field is None:
            return leaf
        arg = self._column(leaf.arg) if leaf.op.startswith("ref_") else leaf.arg
        return Leaf(self._column(leaf.field), leaf.op, arg, leaf.cased)

    def _column(self, field: str) -> str:
        column = self._names.column(field)
        if column is None:
            raise UsageError("a field without a column", got=field)
        return column


def _condition(route: Route) -> Node:
    return all_of(
        any_of(Leaf(column, "eq", value) for value in values) for column, values in route.where
    )


def _names(leaf: Leaf) -> tuple[str, ...]:
    if leaf.field is None:
        return (events.ORIGINAL,)
    return (leaf.field, leaf.arg) if leaf.op.startswith("ref_") else (leaf.field,)
