"""A product is compiled once a process and used by all: neither what it read before nor who else reads changes a result."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from pipeline.model.clock import to_micros
from pipeline.model.records import RawRecord
from pipeline.normalise.context import Context
from pipeline.normalise.document import flat_event
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import Product, load_products
from pipeline.normalise.samples import IGNORED, outcome
from pipeline.normalise.spec import SampleSpec

PRODUCTS = sorted(load_products())
MANY = 260
"""Enough that the ways of reading many lines at once are taken."""


def _all_alike(product: Product, sample: SampleSpec) -> list[dict[str, Any]]:
    """What becomes of many copies of a sample in one batch: the events that differ from one another."""
    received = to_micros(datetime.fromisoformat(sample.received))
    body = sample.raw.rstrip("\n").encode("utf-8", "surrogatepass")
    records = [RawRecord(number, "sample", received, body) for number in range(1, MANY + 1)]
    context = Context("sample", "sample", "sample", b"k", received, sample.timezone)
    found: list[dict[str, Any]] = []
    for table in normalise(product, records, context).tables.values():
        for row in map(flat_event, table.to_pylist()):
            kept = {name: row[name] for name in sorted(row) if name not in IGNORED}
            if kept not in found:
                found.append(kept)
    return found


@pytest.mark.parametrize("name", PRODUCTS)
def test_many_of_a_line_are_each_what_one_is_whatever_was_read_before(name: str) -> None:
    product = load_products()[name]
    for sample in reversed(product.samples):
        outcome(product, sample)
    for sample in product.samples:
        expected = dict(sample.expected)
        assert _all_alike(product, sample) == ([expected] if expected else []), sample.name


def test_threads_may_share_the_products() -> None:
    products = load_products()
    work = [(products[name], sample) for name in PRODUCTS for sample in products[name].samples]
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda pair: outcome(*pair), work + work[::-1]))
    expected = [dict(sample.expected) for _, sample in work]
    assert made == expected + expected[::-1]
