"""Whoever sends, by whatever receiver: what a record says of whose it is and when it came changes neither."""

from __future__ import annotations

import gzip
import json
import socket
from pathlib import Path

import pytest
from contract.test_receiver_contract import CASES, FILE, Sender, until
from support import collector as support
from support.collector import running, spooled
from support.polled import Api
from support.sysmon_log import bodies, sysmon_log

from collectors.collect import Collector
from pipeline.model import events
from pipeline.model.clock import to_micros, utc_now
from pipeline.model.records import RawRecord
from pipeline.normalise.context import Context
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import Product, load_product
from pipeline.settings.places import products_dir
from pipeline.settings.values import CollectSettings

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
    judge(spooled(tmp_path), source, len(RECORDS), before, products)


@pytest.mark.parametrize("packed", [False, True])
def test_a_windows_log_cannot_say_whose_its_records_are_or_when_they_came(
    tmp_path: Path, products: list[Product], corpora: Path, packed: bool
) -> None:
    forged = {
        "ParentProcessId": "organization.id", "ParentProcessGuid": "organization.name", "RuleName": "event.id",
    }  # fmt: skip
    log, before = sysmon_log(corpora, forged), to_micros(utc_now())
    support.logs_of(tmp_path).mkdir()
    name = "forged.evtx.gz" if packed else "forged.evtx"
    (support.logs_of(tmp_path) / name).write_bytes(gzip.compress(log) if packed else log)
    given = support.input_of("evtx", "evtx_file", support.logs_of(tmp_path) / "*")
    with running(
        tmp_path, CollectSettings(node="n1", listeners=(), files=(given,), settle_seconds=0.1)
    ):
        until(lambda: len(spooled(tmp_path)) == len(bodies(log)))
    judge(spooled(tmp_path), "q1-files", len(bodies(log)), before, products)


def test_an_api_cannot_say_whose_its_records_are_or_when_they_came(
    tmp_path: Path, products: list[Product]
) -> None:
    records = [
        FLAT,
        NESTED,
        {"id": 1, "EventID": 1, **FLAT, **NESTED},
        {"message": RECORDS[3].decode()},
    ]
    before = to_micros(utc_now())
    for api in Api().serve():
        api.say = lambda *_: (200, {}, records)
        tmp_path.with_name(tmp_path.name + ".yml").write_text(
            f"{{kind: json, hosts: ['{api.host}'], url: 'http://{api.host}/e', records: '', identity: id}}"
        )
        given = support.input_of("api", "rest_poll", f"{tmp_path}.yml")
        with running(tmp_path, CollectSettings(node="n1", listeners=(), files=(given,))):
            until(lambda: len(spooled(tmp_path)) == len(records))
    judge(spooled(tmp_path), "q1-files", len(records), before, products)


def judge(
    records: list[RawRecord], source: str, count: int, before: int, products: list[Product]
) -> None:
    assert {record.source for record in records} == {source}
    context = Context(
        node="n1", agency="q1", source=source, key=bytes(16), ingested=to_micros(utc_now())
    )
    for product in products:
        made = normalise(product, records, context)
        rows = [row for table in made.tables.values() for row in table.to_pylist()]
        assert len(rows) == count
        assert {row[events.AGENCY] for row in rows} == {"q1"}
        assert {row[events.SOURCE] for row in rows} == {source}
        assert {row[events.NODE] for row in rows} == {"n1"}
        assert {row[events.SEQUENCE] for row in rows} == {one.sequence for one in records}
        created = [to_micros(row[events.CREATED]) for row in rows]
        assert all(before <= one <= context.ingested for one in created)
        ids = {bytes(row[events.ID]).hex() for row in rows}
        assert len(ids) == count
        assert FORGED_ID not in ids
