"""Evidence beside a rule: raw log lines that it must find, must leave alone, or is known to miss.

In: ``rules/<product>/<name>.evidence.yml``. Out: an `Evidence`, and what a rule makes of it when the
lines go through the real normaliser and the reference evaluator.

    rule: 241502ff-f752-4884-aa69-8aee4b76a1f7
    product: nginx
    fires:                              # every line is found
      - note: whoami
        lines: ['203.0.113.66 - - [24/Nov/2026:09:13:05 +0700] "GET /uploads/a.php?cmd=whoami …']
    near_misses: […]                    # no line is found
    evasions:                           # what an attacker would try
      - note: the command in the body of a POST
        fires: false                    # named as the rule's limit
        lines: […]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from pipeline.detect.matching.reference import holds, value_of
from pipeline.detect.matching.text import fold, texts
from pipeline.detect.matching.tree import FALSE, REF_OPS, Leaf, Node, leaves, rebuild
from pipeline.detect.rulebook.rules import Rule
from pipeline.detect.rulebook.taxonomy import Route, Taxonomy
from pipeline.detect.rulebook.yaml_strict import read_yaml
from pipeline.model import events
from pipeline.model.clock import to_micros
from pipeline.model.errors import ThapCanhError, UsageError
from pipeline.model.records import RawRecord

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.normalise.product import Product

ENDING = ".evidence.yml"


L = TypeVar("L")
"""What a case is made of: a text, or lines over time (`correlation_evidence.Line`)."""


class Case(msgspec.Struct, Generic[L], frozen=True, forbid_unknown_fields=True):
    """Lines and what the rule must make of them. `fires` is written for evasions only."""

    note: str
    lines: tuple[L, ...]
    fires: bool | None = None


class EvidenceOf(msgspec.Struct, Generic[L], frozen=True, forbid_unknown_fields=True):
    """All the evidence of one rule, of one product's lines."""

    rule: str
    product: str
    fires: tuple[Case[L], ...]
    near_misses: tuple[Case[L], ...]
    evasions: tuple[Case[L], ...]

    def cases(self) -> Iterator[tuple[str, Case[L], bool]]:
        """Every case with its kind and whether it must be found."""
        yield from (("fires", case, True) for case in self.fires)
        yield from (("near miss", case, False) for case in self.near_misses)
        yield from (("evasion", case, bool(case.fires)) for case in self.evasions)

    def gaps(self, rule: str) -> Iterator[str]:
        """What is missing of it as the evidence of this rule."""
        if self.rule != rule:
            yield f"the evidence is of another rule: {self.rule}"
        for what, cases in (
            ("line that fires", self.fires),
            ("near miss", self.near_misses),
            ("evasion", self.evasions),
        ):
            if not any(case.lines for case in cases):
                yield f"the evidence has no {what}"
        if any(case.fires is None for case in self.evasions):
            yield "an evasion must say `fires: true`, or `fires: false` for a limit of the rule"


Evidence = EvidenceOf[str]


def evidence_path(rule: Path) -> Path:
    """Where the evidence of a rule file lies."""
    return rule.with_name(rule.stem + ENDING)


def read_evidence(path: Path) -> Evidence:
    """Of a rule over single events. Raises `UsageError` naming file and place."""
    return evidence_of(path, str)


def evidence_of(path: Path, line: type[L]) -> EvidenceOf[L]:
    """With cases of such lines. Raises `UsageError` naming file and place."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise UsageError(
            "a rule without evidence", where=str(path),
            remedy="write lines that fire, a near miss and an evasion: rules/README.md",
        ) from None  # fmt: skip
    documents = read_yaml(text, str(path))
    if len(documents) != 1:
        raise UsageError("one document was expected", where=str(path), got=str(len(documents)))
    try:
        found: EvidenceOf[L] = msgspec.convert(documents[0].value, EvidenceOf[line])  # type: ignore[valid-type]
    except msgspec.ValidationError as error:
        raise UsageError(f"the evidence is not as it must be: {error}", where=str(path)) from None
    return found


def judge(
    rule: Rule, evidence: Evidence, product: Product, taxonomy: Taxonomy, *, received: datetime
) -> list[ThapCanhError]:
    """What is not as the evidence says. `received` is the receipt's time, for lines without a year."""
    faults: list[ThapCanhError] = []
    for kind, case, wanted in evidence.cases():
        found = _found(rule, case.lines, product, taxonomy, received)
        for place, (line, hit) in enumerate(zip(case.lines, found, strict=True), 1):
            if hit != wanted:
                faults.append(
                    UsageError(
                        f"the {kind} «{case.note}» " + ("is not found" if wanted else "is found"),
                        where=f"{rule.path}, line {place} of the case", got=line[:160],
                    )
                )  # fmt: skip
    return faults


def _found(
    rule: Rule, lines: Sequence[str], product: Product, taxonomy: Taxonomy, received: datetime
) -> list[bool]:
    from pipeline.normalise.context import Context
    from pipeline.normalise.normaliser import normalise

    context = Context(
        node="evidence",
        agency="evidence",
        source="evidence",
        key=bytes(32),
        ingested=to_micros(received),
    )
    records = [
        RawRecord(place, "evidence", to_micros(received), line.encode())
        for place, line in enumerate(lines, 1)
    ]
    hits: set[int] = set()
    for dataset, table in normalise(product, records, context).tables.items():
        rows = table.to_pylist()
        for route in taxonomy.routes_for(rule.logsource):
            if dataset in route.datasets:
                tree = _on(route, rule, taxonomy)
                hits |= {
                    row[events.SEQUENCE] for row in rows if _goes(route, row) and holds(tree, row)
                }
    return [place in hits for place in range(1, len(lines) + 1)]


def _on(route: Route, rule: Rule, taxonomy: Taxonomy) -> Node:
    """The rule's tree over the route's columns; FALSE where the route lacks a field that it asks."""
    names = taxonomy.maps[route.map]
    if rule.body is None:
        raise UsageError("a correlation has no evidence of single lines", where=rule.path)
    asked = {leaf.field for leaf in leaves(rule.body)} | {
        leaf.arg for leaf in leaves(rule.body) if leaf.op in REF_OPS
    }
    columns = {field: names.column(field) for field in asked if field is not None}
    if None in columns.values():
        return FALSE

    def renamed(leaf: Leaf) -> Node:
        if leaf.field is None:
            return leaf
        arg = columns[leaf.arg] if leaf.op in REF_OPS else leaf.arg
        return Leaf(columns[leaf.field], leaf.op, arg or "", leaf.cased)

    return rebuild(rule.body, renamed)


def _goes(route: Route, row: Mapping[str, Any]) -> bool:
    """Whether the route takes the event in."""
    return all(
        any(
            fold(text) == fold(str(value))
            for text in texts(value_of(row, column))
            for value in values
        )
        for column, values in route.where
    )
