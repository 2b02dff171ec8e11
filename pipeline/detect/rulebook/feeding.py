"""Where a rule has something to read: per product, and from that per agency.

In: rules, the taxonomy, the compiled products, the register of sources. Out, per rule: the products
whose events can make it fire; per agency, *runs*, or why it cannot fire there: no product makes such
a log at all, no published source does, or the products that do never fill a field that it cannot do
without (nginx writes no cookie). Pure but for one read of the state.

    verdicts = judge(rules, taxonomy, products)
    standing = verdicts[rule.id].standing(products_of_agencies(state, actor))
    standing.runs                       # ("ward-1",)
    standing.cannot["ward-2"]           # "no published source feeds it; of these one would: windows"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec
import sqlalchemy as sa

from pipeline.access.permissions import scope_for
from pipeline.detect.matching.tree import FALSE, TRUE, Leaf, Node, leaves, rebuild
from pipeline.detect.rulebook.rules import Rule
from pipeline.detect.rulebook.taxonomy import FieldMap, Route, Taxonomy
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.register import Source

if TYPE_CHECKING:
    from pipeline.normalise.product import Product

_ALWAYS: Final = ("event.", "thapcanh.", "organization.", "log.", "host.", "agent.", "related.")
"""Columns that receipt, header or shipper may fill for any product."""


class Standing(msgspec.Struct, frozen=True):
    """Agencies that the actor may see: those in which the rule can fire, and the rest with the reason."""

    runs: tuple[str, ...]
    cannot: dict[str, str]


class Verdict(msgspec.Struct, frozen=True):
    """`feeds`: products that can make the rule fire, each by events of which `datasets`. `lacks`: products that make
    such a log, but not the fields named. `why`: that nothing can, as far as the rule and the taxonomy alone decide it."""

    feeds: frozenset[str] = frozenset()
    lacks: dict[str, tuple[str, ...]] = {}
    why: str = ""
    datasets: dict[str, frozenset[str]] = {}

    def fed_by(self, product: str, datasets: frozenset[str] | None = None) -> bool:
        """Whether the product alone can make the rule fire; by events of these datasets, if given."""
        if datasets is None:
            return product in self.feeds
        return bool(self.datasets.get(product, frozenset()) & datasets)

    def standing(self, agencies: Mapping[str, frozenset[str]]) -> Standing:
        """`agencies`: agency → the products of its published sources."""
        runs = tuple(agency for agency, products in agencies.items() if products & self.feeds)
        left = [agency for agency in agencies if agency not in runs]
        return Standing(runs, {agency: self._reason(agencies[agency]) for agency in left})

    def _reason(self, products: frozenset[str]) -> str:
        if self.why:
            return self.why
        found = [
            f"{product} never fills {', '.join(fields)}"
            for product, fields in sorted(self.lacks.items())
            if product in products or not self.feeds
        ]
        if not self.feeds and found:
            return "; ".join(found)
        would = ", ".join(sorted(self.feeds))
        return "; ".join([*found, f"no published source feeds it; of these one would: {would}"])


class Fill(msgspec.Struct, frozen=True):
    """What a product can write into a dataset: columns, and beginnings of names."""

    columns: frozenset[str]
    under: tuple[str, ...] = ()

    def can(self, column: str) -> bool:
        return column in self.columns or column.startswith(self.under)


def judge(
    rules: Iterable[Rule], taxonomy: Taxonomy, products: Mapping[str, Product]
) -> dict[str, Verdict]:
    """By rule id. Correlations are left out: they stand and fall with the rules that they count."""
    filled = {name: fills(product) for name, product in products.items()}
    return {rule.id: _verdict(rule, taxonomy, filled) for rule in rules if rule.body is not None}


def fills(product: Product) -> dict[str, Fill]:
    """Dataset → what the product can write into it."""
    found: dict[str, set[str]] = {}
    for kind in product.kinds.values():
        columns = found.setdefault(kind.dataset, set())
        columns.update(kind.constants)
        for places in kind.slots.values():
            columns.update(column for p in places for column in product.planner.entries[p].targets)
    under = (*_ALWAYS, product.planner.prefix, *product.planner.keep.values())
    ecs = frozenset(product.types.ecs.fields) if product.planner.take_ecs else frozenset()
    return {dataset: Fill(frozenset(names) | ecs, under) for dataset, names in found.items()}


def _verdict(rule: Rule, taxonomy: Taxonomy, filled: Mapping[str, Mapping[str, Fill]]) -> Verdict:
    assert rule.body is not None
    if unfilled := sorted({leaf.arg for leaf in leaves(rule.body) if leaf.op == "unfilled"}):
        return Verdict(why=f"a placeholder without values: {', '.join(unfilled)}")
    routes = taxonomy.routes_for(rule.logsource)
    if not routes:
        return Verdict(why=f"the taxonomy does not know such a log: {rule.logsource}")
    feeds: dict[str, frozenset[str]] = {}
    lacks: dict[str, tuple[str, ...]] = {}
    unmapped: dict[str, str] = {}
    for route in routes:
        names = taxonomy.maps[route.map]
        without = {f: names.why(f) for f in _fields(rule.body) if names.column(f) is None}
        unmapped |= without
        if without:
            continue
        for product, datasets in filled.items():
            for dataset in set(route.datasets) & set(datasets):
                missing = _missing(rule.body, route, names, datasets[dataset])
                if missing:
                    lacks.setdefault(product, missing)
                else:
                    feeds[product] = feeds.get(product, frozenset()) | {dataset}
    if feeds or lacks:
        short = {p: f for p, f in lacks.items() if p not in feeds}
        return Verdict(frozenset(feeds), short, datasets=feeds)
    wanted = sorted({dataset for route in routes for dataset in route.datasets})
    if unmapped and all(_unmapped(rule.body, taxonomy.maps[route.map]) for route in routes):
        told = (f"{field} ({why})" if why else field for field, why in sorted(unmapped.items()))
        return Verdict(why=f"a field without a column: {', '.join(told)}")
    return Verdict(why=f"no product feeds it yet: {', '.join(wanted)}")


def _unmapped(body: Node, names: FieldMap) -> bool:
    return any(names.column(field) is None for field in _fields(body))


def _fields(body: Node) -> dict[str, None]:
    found: dict[str, None] = {}
    for leaf in leaves(body):
        if leaf.field is not None:
            found[leaf.field] = None
        if leaf.op.startswith("ref_"):
            found[leaf.arg] = None
    return found


def _missing(body: Node, route: Route, names: FieldMap, fill: Fill) -> tuple[str, ...]:
    """The columns without which the rule cannot hold on the route; empty where it can."""
    limits = [column for column, _ in route.where if not fill.can(column)]
    if limits:
        return tuple(limits)
    lacking = {
        field: column
        for field in _fields(body)
        if (column := names.column(field)) is not None and not fill.can(column)
    }
    if not lacking:
        return ()

    def without(leaf: Leaf) -> Node:
        asked = {leaf.field, leaf.arg} if leaf.op.startswith("ref_") else {leaf.field}
        if not asked & lacking.keys():
            return leaf
        return TRUE if leaf.op == "null" else FALSE

    return tuple(sorted(lacking.values())) if rebuild(body, without) == FALSE else ()


def products_of_agencies(state: State, actor: Actor) -> dict[str, frozenset[str]]:
    """agency → the products of its published sources, as far as the actor sees them."""
    scope = scope_for(actor, "source.read")
    query = sa.select(Source.agency, Source.product).where(Source.state == "published")
    found: dict[str, set[str]] = {}
    with state.read() as session:
        for row in session.execute(query):
            if scope.allows(row.agency):
                found.setdefault(row.agency, set()).add(row.product)
    return {agency: frozenset(products) for agency, products in sorted(found.items())}
