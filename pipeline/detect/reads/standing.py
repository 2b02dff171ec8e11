"""Of every rule of the installation and every agency of the reader: *runs*, or why it cannot fire there.

In: an actor. Out, by rule id, a `Standing`. A correlation runs where the rules that it counts do: one
of them, or all for `temporal` and `temporal_ordered`. Switched-off rules are told too: what would be.

    standings(state, actor)["a0000000-…"].cannot["ward-2"]     # "no published source feeds it; …"
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from pipeline.access.permissions import require
from pipeline.detect.register.rules import version
from pipeline.detect.register.watchlists import placeholders
from pipeline.detect.rulebook.feeding import Standing, Verdict, judge, products_of_agencies
from pipeline.detect.rulebook.rules import Rule, RuleBook, rules_from_texts
from pipeline.detect.rulebook.taxonomy import Taxonomy
from pipeline.detect.rulebook.yaml_strict import read_yaml
from pipeline.model.scope import Actor
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
    """By id of every living rule and correlation. `products` are the shipped ones and the home's if not given."""
    require(actor, "rule.read", None)
    book, verdicts = _read(state, products, cache)
    agencies = products_of_agencies(state, actor)
    found = {rule: verdict.standing(agencies) for rule, verdict in verdicts.items()}
    return found | _of_correlations(book.correlations, book.rules, found, agencies)


def _read(
    state: State, products: Mapping[str, Product] | None, cache: Path | None
) -> tuple[RuleBook, dict[str, Verdict]]:
    """Every living rule, parsed, and what it is judged to be."""
    if products is None:
        from pipeline.normalise.additions import products_of

        products = products_of(state.additions)
    query = (
        sa.select(RuleRow.path, RuleRevision.text)
        .join(RuleRevision, RuleRevision.revision == RuleRow.revision)
        .where(RuleRow.retired.is_(None), RuleRevision.kind != "filter")
        .order_by(RuleRow.path, RuleRow.id)
    )
    with state.read() as session:
        texts = [(row.path, row.text) for row in session.execute(query)]
    book = rules_from_texts(texts, placeholders=placeholders(state), cache=cache)
    return book, judge(book.rules, Taxonomy.here(state.additions), products)


def _judged(state: State, products: Mapping[str, Product] | None, cache: Path | None) -> Judged:
    return Judged(*_read(state, products, cache))


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


class Judged:
    """What rules and taxonomy decide of every living rule, whatever the agencies: kept until the register
    changes, so that a page asks it quickly."""

    def __init__(self, book: RuleBook, verdicts: Mapping[str, Verdict]) -> None:
        self._verdicts = verdicts
        self._correlations = book.correlations
        self._names = [(rule.id, rule.name) for rule in (*book.rules, *book.correlations)]
        self._counted = {rule.id: _counted(rule) for rule in book.correlations}
        self.tags = {rule.id: rule.tags for rule in (*book.rules, *book.correlations)}

    @cached_property
    def products(self) -> tuple[str, ...]:
        """Those that feed some rule."""
        return tuple(sorted({p for v in self._verdicts.values() for p in v.feeds}))

    def fed_by(self, product: str, datasets: frozenset[str] | None = None) -> set[str]:
        """The rules that the product alone can make fire, by events of these datasets if given; correlations left out."""
        return {r for r, verdict in self._verdicts.items() if verdict.fed_by(product, datasets)}

    def running(self, agencies: Mapping[str, frozenset[str]]) -> set[str]:
        """Ids of rules and correlations that run at some of the agencies (agency → its products)."""
        found: set[str] = set()
        for products in set(agencies.values()):
            here = {rule for rule, verdict in self._verdicts.items() if products & verdict.feeds}
            found |= here | self._correlating(here)
        return found

    def _correlating(self, here: set[str]) -> set[str]:
        ids = {name: rule for rule, named in self._names for name in (rule, named) if name}
        made: dict[str, bool] = {}

        def runs(rule: str, seen: frozenset[str]) -> bool:
            if rule not in self._counted or rule in seen:
                return rule in here
            if rule not in made:
                names, whole = self._counted[rule]
                parts = [runs(ids.get(name, name), seen | {rule}) for name in names]
                made[rule] = bool(parts) and (all(parts) if whole else any(parts))
            return made[rule]

        return {rule for rule in self._counted if runs(rule, frozenset())}

    def standing(self, rule: str, agencies: Mapping[str, frozenset[str]]) -> Standing | None:
        """Of one rule at each of the agencies; None for a filter."""
        if rule in self._verdicts:
            return self._verdicts[rule].standing(agencies)
        if rule not in self._counted:
            return None
        found = {
            base: self._verdicts[base].standing(agencies)
            for base in self._bases(rule)
            if base in self._verdicts
        }
        every = [Rule(id=key, title="", name=name) for key, name in self._names]
        return _of_correlations(self._correlations, every, found, agencies)[rule]

    def _bases(self, rule: str) -> set[str]:
        ids = {name: key for key, named in self._names for name in (key, named) if name}
        left, seen = [rule], set[str]()
        while left:
            one = left.pop()
            if one not in seen:
                seen.add(one)
                left += [ids.get(name, name) for name in self._counted.get(one, ([], False))[0]]
        return seen


class RuleJudge:
    """`RuleJudge(state, cache)()` is what is judged of the rules of now; safe to call from any thread."""

    def __init__(self, state: State, cache: Path | None = None) -> None:
        self._state, self._cache = state, cache
        self._made: tuple[object, Judged] | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Judged:
        with self._lock:
            own = self._state.additions
            now = version(self._state), own.taxonomy_files(), own.product_files()
            if self._made is None or self._made[0] != now:
                self._made = (now, _judged(self._state, None, self._cache))
            return self._made[1]
