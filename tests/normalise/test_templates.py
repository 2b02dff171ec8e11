"""Messages of some seventy vendors: none fails, each has host, time and message, by `generic` and by its own product."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from support.templates import AT, HOST, MICROS, Template, labels, templates

from collectors.formats import syslog
from pipeline.model import events
from pipeline.model.records import RawRecord
from pipeline.normalise.context import Context
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import load_products
from pipeline.sources.onboarding.recognise import close, recognise

PRODUCTS = load_products()
LABELS = labels()
PEER: Final = "192.0.2.77"
LATER: Final = MICROS + 5_000_000  # the moment of receipt
CONTEXT = Context("node-1", "phuong-1", "source-1", b"k" * 32, LATER)


@pytest.fixture(scope="module")
def messages(corpora: Path) -> list[Template]:
    return templates(corpora / "syslog-templates.json")


def rows(product: str, records: Sequence[str]) -> list[dict[str, Any]]:
    """One row a record, and no failure."""
    given = [
        RawRecord(n, "source-1", LATER, text.encode(), peer=PEER) for n, text in enumerate(records)
    ]
    made = normalise(PRODUCTS[product], given, CONTEXT)
    assert (made.dead, made.dropped, made.rows) == ((), 0, len(given))
    return [row for table in made.tables.values() for row in table.to_pylist()]


def test_each_template_has_a_label_and_each_label_a_template(messages: list[Template]) -> None:
    assert list(dict.fromkeys(template.mark for template in messages)) == list(LABELS)


def test_every_message_is_an_event_with_host_time_and_message(messages: list[Template]) -> None:
    bare = []
    for template in messages:
        for row in rows("generic", template.records):
            lacks = [name for name in ("host.name", events.TIME, "message") if not row.get(name)]
            if lacks:
                bare.append((template.file, lacks))
    # the variable that would have been its message is not in the template
    assert bare == [("test_microsoft_mcas.py", ["message"])]


def test_the_time_and_the_host_of_a_header_are_the_event_s(messages: list[Template]) -> None:
    records = [record for template in messages for record in template.records]
    known = 0
    for record, row in zip(records, rows("generic", records), strict=True):
        header, _ = syslog.split(record)
        if header.time is None or not header.time.startswith(("Nov 24", "2026-11-24")):
            continue
        if " rt=" in record or "imestamp" in record:  # a time of the message's own goes first
            continue
        # without a zone it is the city's, with Z it is UTC: the same digits either way
        said = row[events.TIME]
        shown = said if header.time.endswith("Z") else said.astimezone(AT.tzinfo)
        assert f"{shown:%d %H:%M:%S}" == "24 09:00:00", record
        known += 1
        if header.host:
            assert row["host.name"] == header.host
        elif "host.name" in row and HOST not in record:
            assert row["host.name"] == PEER
    assert known >= 210


def first(template: Template) -> str:
    """The product that stands first for a template's messages, empty where none is good."""
    return next((one.product for one in close(recognise(template.records, PRODUCTS))), "")


def test_each_message_of_a_listed_product_is_recognised_as_it_and_no_other_is_claimed(
    messages: list[Template],
) -> None:
    found = {template.mark: first(template) for template in messages}
    listed = {mark: product if product in PRODUCTS else "" for mark, product in LABELS.items()}
    wrong = {mark: (found[mark], listed[mark]) for mark in listed if found[mark] != listed[mark]}
    assert wrong == {}
    assert len({product for product in listed.values() if product}) >= 12


@pytest.mark.parametrize("product", sorted({p for p in LABELS.values() if p} & PRODUCTS.keys()))
def test_a_product_reads_its_own_messages(messages: list[Template], product: str) -> None:
    for template in messages:
        if LABELS[template.mark] != product:
            continue
        for row in rows(product, template.records):
            names = (
                "host.name",
                "observer.name",
                "observer.hostname",
                "observer.ip",
                "observer.serial_number",
            )
            assert any(row.get(name) for name in names), template.file
            assert row[events.TIME]
