"""Whoever sends, by whatever receiver: what a record says of whose it is and when it came changes neither."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from contract.test_receiver_contract import CASES, FILE, Sender, until
from support.collector import running, spooled

from collectors.collect import Collector
from pipeline.model import events
from pipeline.model.clock import to_micros, utc_now
from pipeline.normalise.context import Context
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import Product, load_product
from pipeline.settings.places import products_dir

FORGED_ID, FORGED_TIME = "0" * 32, "2001-01-01T00:00:00.000Z"
FLAT = {
    "organization.id": "q2", "organization.name": "q2", "thapcanh.source": "q2-fw", "thapcanh.node": "evil",
    "thapcanh.sequence": 1, "event.created": FORGED_TIME, "event.id": FORGED_ID,
}  # fmt: skip
NESTED = {
    "organization": {"id": "q2", "name": "q2"}, "thapcanh": {"source": "q2-fw", "node": "evil", "sequence": 1},
    "event": {"created": FORGED_TIME, "id": FORGED_ID},
}  # fmt: skip
PAIRS = " ".join(f'{name}="{value}"' for name, value in FLAT.items())
RECORDS = [
    json.dumps(FLAT).encode(),
    json.dumps(NESTED).encode(),
    json.dumps({"EventID": 1, "Channel": "x", **FLAT, **NESTED}).encode(),
    f"<134>Nov 24 09:00:00 q2 app: {PAIRS}".encode(),
    f"<134>date=2026-11-24 time=09:00:00 logid=0000000013 type=traffic {PAIRS}".encode(),
    f"CEF:0|v|p|1|1|n|5|{PAIRS}".encode(),
]


def by_tcp_lines(collector: Collector, records: list[bytes], known: bool = True) -> None:
    """Octet counting is told by a priority behind the count, which these records lack."""
    with socket.create_connection(
        ("127.0.0.1", collector.ports["tcp"]), timeout=5, source_address=("127.0.0.11", 0)
    ) as sender:
        sender.sendall(b"".join(record + b"\n" for record in records))


LINES = pytest.param("tcp", "q1-fw", by_tcp_lines, id="syslog_tcp")
RECEIVERS = [LINES if case.id == "syslog_tcp" else case for case in [*CASES, FILE]]


@pytest.fixture(scope="module")
def products() -> list[Product]:
    names = ("generic", "windows", "fortinet_fortigate")
    return [load_product(products_dir() / f"{name}.yml") for name in names]


@pytest.mark.parametrize(
    ("source", "send"), [case.values[1:] for case in RECEIVERS], ids=[case.id for case in RECEIVERS]
)
def test_a_sender_cannot_say_whose_a_record_is_or_when_it_came(
    tmp_path: Path, products: list[Product], source: str, send: Sender
) -> None:
    before = to_micros(utc_now())
    with running(tmp_path) as collector:
        send(collector, RECORDS, True)
        until(lambda: len(spooled(tmp_path)) == len(RECORDS))
    records = spooled(tmp_path)
    assert {record.source for record in records} == {source}
    context = Context(
        node="n1", agency="q1", source=source, key=bytes(16), ingested=to_micros(utc_now())
    )
    for product in products:
        made = normalise(product, records, context)
        rows = [row for table in made.tables.values() for row in table.to_pylist()]
        assert len(rows) == len(RECORDS)
        assert {row[events.AGENCY] for row in rows} == {"q1"}
        assert {row[events.SOURCE] for row in rows} == {source}
        assert {row[events.NODE] for row in rows} == {"n1"}
        assert {row[events.SEQUENCE] for row in rows} == {one.sequence for one in records}
        created = [to_micros(row[events.CREATED]) for row in rows]
        assert all(before <= one <= context.ingested for one in created)
        ids = {bytes(row[events.ID]).hex() for row in rows}
        assert len(ids) == len(RECORDS)
        assert FORGED_ID not in ids
