"""Rules and taxonomy in, one set out that evaluates all of them over a table of events at once.

    compiled = compile_rules(book.rules, taxonomy)
    rows, rules = compiled.match("windows.sysmon", table)      # two arrays of the same length, one pair a match
    compiled.unfit["0248a7bc-…"]                               # why a rule cannot fire here

A rule is evaluated on each route of its log source, with that route's names of fields, over the rows
that the route's conditions leave. It is *unfit* when no route of it is left: a log source that nothing
feeds, a field without a column, a placeholder without values.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipeline.detect.matching.routed import Routed
from pipeline.detect.matching.tree import FALSE, REF_OPS, Leaf, Node, leaves, rebuild
from pipeline.detect.rulebook.rules import Rule
from pipeline.detect.rulebook.taxonomy import FieldMap, Route, Taxonomy
from pipeline.model import events
from pipeline.model.errors import UsageError
from pipeline.model.ids import content_hash
from pipeline.model.memory import collector_at_rest

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.detect.matching.columnar import Ints
    from pipeline.detect.matching.matcher import Matcher

VERSION = "1"  # of what a compiled set decides; a change makes every rule set a new one


class Compiled:
    """A compiled set. `rules` are those that can fire; a match names a rule by its place among them."""

    def __init__(
        self,
        rules: Sequence[Rule],
        unfit: Mapping[str, str],
        routed: Mapping[str, Sequence[Routed]],
        digest: str,
    ) -> None:
        self.rules, self.unfit, self.digest = tuple(rules), dict(unfit), digest
        self.routed = {dataset: tuple(found) for dataset, found in routed.items()}
        self._matchers: dict[str, Matcher] = {}
        self._lock = threading.Lock()

    @cached_property
    def columns(self) -> Mapping[str, frozenset[str]]:
        """Of each dataset that some rule reads, the columns (`event.original` for keywords)."""
        found: dict[str, frozenset[str]] = {}
        for dataset, routed in self.routed.items():
            names = {name for each in routed for leaf in leaves(each.tree) for name in _names(leaf)}
            found[dataset] = frozenset(names.union(*(each.where for each in routed)))
        return found

    def match(self, dataset: str, table: pa.Table) -> tuple[Ints, Ints]:
        """Every match: rows of the table and places in `rules`, sorted by row, then rule."""
        return self._matcher(dataset).match(table)

    def reference(self, dataset: str, row: Mapping[str, Any]) -> list[int]:
        """The places of the rules that hold of one row, by the slow evaluator: the matcher's oracle."""
        from pipeline.detect.matching.reference import holds

        routed = self.routed.get(dataset, ())
        return sorted({each.rule for each in routed if holds(each.whole, row)})

    def _matcher(self, dataset: str) -> Matcher:
        from pipeline.detect.matching.matcher import Matcher
        from pipeline.detect.matching.plan import Plan

        with self._lock:
            found = self._matchers.get(dataset)
            if found is None:
                found = self._matchers[dataset] = Matcher(Plan(self.routed.get(dataset, ())))
            return found


def compile_rules(
    rules: Iterable[Rule],
    taxonomy: Taxonomy,
    *,
    scope: str | None = None,
) -> Compiled:
    """The set of the single-event rules among `rules`. `scope` keeps to the routes marked by it."""
    fit: list[Rule] = []
    unfit: dict[str, str] = {}
    routed: dict[str, list[Routed]] = {}
    renamers = {name: _Renamer(names) for name, names in taxonomy.maps.items()}
    with collector_at_rest():
        for rule in rules:
            trees, why = _trees(rule, taxonomy, renamers, scope)
            if not trees:
                unfit[rule.id] = why
                continue
            for route, tree in trees:
                each = Routed(len(fit), dict(route.where), tree)
                for dataset in route.datasets:
                    routed.setdefault(dataset, []).append(each)
            fit.append(rule)
    digest = content_hash(
        VERSION, taxonomy.digest, scope or "", *sorted(r.revision for r in fit), *sorted(unfit)
    )
    return Compiled(fit, unfit, routed, digest)


def _trees(
    rule: Rule, taxonomy: Taxonomy, renamers: Mapping[str, _Renamer], scope: str | None
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
    trees: dict[str, Node] = {}  # routes mostly share a map
    for route in routes:
        try:
            if route.map not in trees:
                trees[route.map] = rebuild(rule.body, renamers[route.map])
        except UsageError as error:
            missing.add(error.got)
            trees[route.map] = FALSE
        if trees[route.map] != FALSE:
            found.append((route, trees[route.map]))
    if missing:
        why = f"a field without a column: {', '.join(sorted(missing))}"
    else:
        why = "its condition can never hold"
    return found, why


class _Renamer:
    """Sigma's field names become a route's columns."""

    def __init__(self, names: FieldMap) -> None:
        self._names = names
        self._known: dict[str, str] = {}

    def __call__(self, leaf: Leaf) -> Node:
        field = leaf.field
        if field is None:
            return leaf
        column = self._known.get(field) or self._column(field)
        arg = self._column(leaf.arg) if leaf.op in REF_OPS else leaf.arg
        return Leaf(column, leaf.op, arg, leaf.cased)

    def _column(self, field: str) -> str:
        column = self._names.column(field)
        if column is None:
            raise UsageError("a field without a column", got=field)
        self._known[field] = column
        return column


def _names(leaf: Leaf) -> tuple[str, ...]:
    if leaf.field is None:
        return (events.ORIGINAL,)
    return (leaf.field, leaf.arg) if leaf.op in REF_OPS else (leaf.field,)
