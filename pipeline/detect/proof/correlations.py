"""Evidence beside a correlation: raw log lines over time that it must find, must leave alone, or misses.

In: ``rules/correlations/<name>.evidence.yml``. Out: an `EvidenceOf[Line]`, and what the correlation makes of
each case when its lines go through the real normaliser, its rules and the windows.

    rule: f23964d7-bdcd-4073-a8ec-72dbc23e228c
    product: fortinet_fortigate
    fires:                              # the case is found, in one episode
      - note: ten accounts within five minutes
        lines:
          - {times: 10, text: '… time=09:13:«nn» … user="can.bo.«nn»" …'}
          - {product: cisco_asa, agency: other, text: '…'}    # another sender's line among them
    near_misses: […]                    # nothing is found
    evasions: [{note: …, fires: false, lines: […]}]

`«nn»` is the number of the repetition, 0 first, in as many digits as there are n's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.detect.correlations.correlation import Correlation, Part, Stored, taking_part
from pipeline.detect.correlations.reading import read_correlations
from pipeline.detect.proof.evidence import evidence_of, evidence_path
from pipeline.detect.rulebook.rules import Rule, RuleBook
from pipeline.detect.rulebook.taxonomy import Taxonomy
from pipeline.model import events
from pipeline.model.clock import to_micros
from pipeline.model.errors import ThapCanhError, UsageError
from pipeline.model.records import RawRecord

if TYPE_CHECKING:
    from pipeline.normalise.product import Product

_MARK: Final = re.compile("«(n+)»")
_AGENCY: Final = "evidence"


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line as it was sent, `times` over; by default of the case's product and agency."""

    text: str
    times: int = 1
    product: str = ""
    agency: str = _AGENCY

    def bodies(self) -> Iterator[bytes]:
        for number in range(self.times):
            yield _MARK.sub(lambda m, n=number: f"{n:0{len(m[1])}}", self.text).encode()  # type: ignore[misc]


def check_correlation(
    rule: Rule,
    book: RuleBook,
    taxonomy: Taxonomy,
    products: Mapping[str, Product],
    *,
    received: datetime,
) -> Iterator[ThapCanhError]:
    """Everything about the correlation that is not as its evidence says."""
    path = evidence_path(Path(rule.path))
    try:
        evidence = evidence_of(path, Line)
    except ThapCanhError as error:
        yield error
        return
    yield from (UsageError(what, where=str(path)) for what in evidence.gaps(rule.id))
    try:
        stage = Stage(rule, book, taxonomy, products, received)
        for kind, case, wanted in evidence.cases():
            if bool(stage.parts(evidence.product, case.lines)) != wanted:
                yield UsageError(
                    f"the {kind} «{case.note}» " + ("is not found" if wanted else "is found"),
                    where=str(path),
                )
    except ThapCanhError as error:
        yield error


class Stage:
    """One correlation with the rules that it reads, ready to be shown lines."""

    def __init__(
        self,
        rule: Rule,
        book: RuleBook,
        taxonomy: Taxonomy,
        products: Mapping[str, Product],
        received: datetime,
    ) -> None:
        from pipeline.detect.matching.compile import compile_rules
        from pipeline.detect.running.active import ActiveSet

        known = {name: each for each in book.rules for name in (each.id, each.name) if name}
        running, unfit = read_correlations(book.correlations, known)
        found = next((c for c in running if c.id == rule.id), None)
        if found is None:
            raise UsageError(unfit[rule.id], where=rule.path)
        self.correlation: Correlation = found
        bases = [known[base] for base in found.bases()]
        chain = [each for each in book.correlations if each.id in _within(found)]
        revisions = {each.id: each.revision for each in bases}
        self._active = ActiveSet(compile_rules(bases, taxonomy), taxonomy, revisions, chain)
        self._products, self._received = products, to_micros(received)

    def parts(self, product: str, lines: Sequence[Line]) -> list[Part]:
        """What of the lines takes part."""
        senders: dict[tuple[str, str], list[bytes]] = {}
        for line in lines:
            senders.setdefault((line.product or product, line.agency), []).extend(line.bodies())
        stored: list[Stored] = []
        for (name, agency), bodies in senders.items():
            if name not in self._products:
                raise UsageError("an unknown product", got=name)
            stored += self._matches(self._products[name], agency, bodies)
        return taking_part(self.correlation, stored)

    def _matches(self, product: Product, agency: str, bodies: Sequence[bytes]) -> Iterator[Stored]:
        from pipeline.normalise.context import Context
        from pipeline.normalise.geo import countries_for
        from pipeline.normalise.normaliser import normalise

        context = Context(
            node="evidence", agency=agency, source=f"{agency}.{product.name}", key=bytes(32),
            ingested=self._received, countries=countries_for(""),
        )  # fmt: skip
        records = [
            RawRecord(place, context.source, self._received, body)
            for place, body in enumerate(bodies, 1)
        ]
        for dataset, table in normalise(product, records, context).tables.items():
            assert events.ID in table.column_names
            for hit in self._active.evaluate(dataset, table):
                m = hit.match
                yield Stored(
                    m.rule, m.event, m.agency, m.time, m.node, m.sequence, hit.values or {}
                )


def _within(correlation: Correlation) -> set[str]:
    return {correlation.id}.union(*(_within(child) for child in correlation.children))
