"""Which agencies' sources feed a rule: the datasets of its routes against those of each agency's products.

In: the register of sources, the products' datasets, the taxonomy. Out, per rule and agency: nothing
where it runs, else why it cannot fire there. Pure but for one read of the state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa

from pipeline.access.permissions import scope_for
from pipeline.detect.rules import LogSource
from pipeline.detect.taxonomy import Taxonomy
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.register import Source


class Fed(msgspec.Struct, frozen=True):
    """Agencies that the actor may see: those with a published source that feeds the rule, and the rest
    with the reason."""

    runs: tuple[str, ...]
    cannot: dict[str, str]


def datasets_of_agencies(
    state: State, actor: Actor, products: Mapping[str, Sequence[str]]
) -> dict[str, frozenset[str]]:
    """agency → the datasets that its published sources can make. `products`: name → datasets."""
    scope = scope_for(actor, "source.read")
    query = sa.select(Source.agency, Source.product).where(Source.state == "published")
    found: dict[str, set[str]] = {}
    with state.read() as session:
        for row in session.execute(query):
            if scope.allows(row.agency):
                found.setdefault(row.agency, set()).update(products.get(row.product, ()))
    return {agency: frozenset(datasets) for agency, datasets in sorted(found.items())}


def fed(source: LogSource, taxonomy: Taxonomy, agencies: Mapping[str, frozenset[str]]) -> Fed:
    """Where a rule of this log source has data to read."""
    wanted = {d for route in taxonomy.routes_for(source) for d in route.datasets}
    runs = tuple(agency for agency, datasets in agencies.items() if datasets & wanted)
    why = (
        f"no source feeds {', '.join(sorted(wanted))}"
        if wanted
        else f"no product makes such a log: {source}"
    )
    return Fed(runs, {agency: why for agency in agencies if agency not in runs})
