"""One small Sigma rule over the samples of a product: the names of those on which it fires."""

from __future__ import annotations

import uuid
from functools import cache

from pipeline.detect.matching.compile import compile_rules
from pipeline.detect.rulebook.rules import rules_from_texts
from pipeline.detect.rulebook.taxonomy import Taxonomy
from pipeline.model import events
from pipeline.model.records import RawRecord
from pipeline.normalise.context import Context
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import Product, load_product
from pipeline.settings.places import config_dir, products_dir

CONTEXT = Context("n", "a", "s", b"k" * 32, 1_795_485_600_000_000)


@cache
def product(name: str) -> Product:
    return load_product(products_dir() / f"{name}.yml")


@cache
def taxonomy() -> Taxonomy:
    return Taxonomy.load(config_dir() / "taxonomy")


def fires_on(name: str, logsource: str, detection: str) -> set[str]:
    """`logsource` and `detection` as a rule has them, in YAML's flow style; the condition is `s`."""
    title = f"{logsource} {detection}"
    text = (
        f"title: {title[:80]!r}\nid: {uuid.uuid5(uuid.NAMESPACE_URL, title)}\nstatus: test\nlevel: medium\n"
        f"logsource: {logsource}\ndetection: {{s: {detection}, condition: s}}\n"
    )
    book = rules_from_texts([("rule.yml", text)])
    assert not book.faults, book.faults
    compiled = compile_rules(book.rules, taxonomy())
    assert not compiled.unfit, compiled.unfit
    chosen = product(name)
    records = [
        RawRecord(number, "s", CONTEXT.ingested, sample.raw.encode())
        for number, sample in enumerate(chosen.samples)
    ]
    fired: set[str] = set()
    for dataset, table in normalise(chosen, records, CONTEXT).tables.items():
        rows, _ = compiled.match(dataset, table)
        sequences = table.column(events.SEQUENCE).to_pylist()
        fired |= {chosen.samples[sequences[row]].name for row in rows}
    return fired
