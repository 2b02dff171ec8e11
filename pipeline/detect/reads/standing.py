"""Of every rule of the installation and every agency of the reader: *runs*, or why it cannot fire there.

In: an actor. Out, by rule id, a `Standing`. A correlation runs where the rules that it counts do: one
of them, or all for `temporal` and `temporal_ordered`. Switched-off rules are told too: what would be.

    standings(state, actor)["a0000000-…"].cannot["ward-2"]     # "no published source feeds it; …"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from pipeline.access.permissions import require
from pipeline.detect.feeding import Standing, judge, products_of_agencies
from pipeline.detect.rules import Rule, rules_from_texts
from pipeline.detect.taxonomy import Taxonomy
from pipeline.detect.watchlists import placeholders
from pipeline.detect.yaml_strict import read_yaml
from pipeline.model.scope import Actor
from pipeline.settings.places import config_dir
from pipeline.state.state import State
from pipeline.state.tables.rules import RuleRevision, RuleRow

if TYPE_CHECKING:
    from pipeline.normalise.product import Product


def standings(
    state: State,
    actor: Actor,
    *,
    products: Mapping[str, Product] | None = None,
    cache: Path | None = None,
) -> dict[str, Standing]:
    """By id of every living rule and correlation. `products` are the shipped ones if not given."""
    require(actor, "rule.read", None)
    if products is None:
        from pipeline.normalise.product import load_products

        products = load_products()
    query = (
        sa.select(RuleRow.path, RuleRevision.text)
        .join(RuleRevision, RuleRevision.revision == RuleRow.revision)
        .where(RuleRow.retired.is_(None), RuleRevision.kind != "filter")
        .order_by(RuleRow.path, RuleRow.id)
    )
    with state.read() as session:
        texts = [(row.path, row.text) for row in session.execute(query)]
    book = rules_from_texts(texts, placeholders=placeholders(state), cache=cache)
    agencies = products_of_agencies(state, actor)
    verdicts = judge(book.rules, Taxonomy.load(config_dir() / "taxonomy"), products)
    found = {rule: verdict.standing(agencies) for rule, verdict in verdicts.items()}
    return found | _of_correlations(book.correlations, book.rules, found, agencies)


def _of_correlations(
    correlations: Iterable[Rule],
    rules: Iterable[Rule],
    found: Mapping[str, Standing],
    agencies: Iterable[str],
) -> dict[str, Standing]:
    every = {rule.id: rule for rule in (*rules, *correlations)}
    ids = {name: rule.id for rule in every.values() for name in (rule.id, rule.name) if name}
    made = dict(found)

    def of(rule: str, seen: frozenset[str]) -> Standing:
        if rule in made:
            return made[rule]
        if rule in seen or rule not in every:
            return Standing((), dict.fromkeys(agencies, f"it counts an unknown rule: {rule}"))
        names, whole = _counted(every[rule])
        parts = {name: of(ids.get(name, name), seen | {rule}) for name in names}
        link = all if whole else any
        runs = tuple(a for a in agencies if parts and link(a in p.runs for p in parts.values()))
        cannot = {
            agency: "; ".join(
                f"{name}: {part.cannot[agency]}"
                for name, part in parts.items()
                if agency in part.cannot
            )
            for agency in agencies
            if agency not in runs
        }
        made[rule] = Standing(runs, cannot)
        return made[rule]

    return {rule.id: of(rule.id, frozenset()) for rule in correlations}


def _counted(rule: Rule) -> tuple[list[str], bool]:
    """The names or ids of the rules that a correlation counts, and whether all of them are needed."""
    for document in read_yaml(rule.text, rule.path):
        given = document.value.get("correlation") or {}
        names = given.get("rules") or []
        names = names if isinstance(names, list) else [names]
        return [str(name) for name in names], str(given.get("type", "")).startswith("temporal")
    return [], False
