"""What a shipper put into a JSON document of its own is read as the line that it was."""

from __future__ import annotations

import json

import pytest

from pipeline.model.clock import to_micros, utc_now
from pipeline.model.records import RawRecord
from pipeline.normalise.context import Context
from pipeline.normalise.document import flat_event
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import load_products

PRODUCTS = load_products()
CONTEXT = Context("n", "a", "s", bytes(16), to_micros(utc_now()))
OWN = {"event.id", "event.original", "event.ingested", "event.created", "thapcanh.sequence"}


def event(product: str, body: str) -> dict[str, object]:
    record = RawRecord(1, "s", CONTEXT.ingested, body.encode())
    made = normalise(PRODUCTS[product], [record], CONTEXT)
    (table,) = made.tables.values()
    flat = flat_event(table.to_pylist()[0])
    return {name: value for name, value in flat.items() if name not in OWN}


@pytest.mark.parametrize(
    "product", ["nginx", "fortinet_fortigate", "cisco_asa", "linux_auth", "postfix", "auditd"]
)
def test_a_line_in_a_shippers_document_is_the_same_event(product: str) -> None:
    line = PRODUCTS[product].samples[0].raw.rstrip("\n")
    alone = event(product, line)
    by_rsyslog = event(product, json.dumps({"message": line}))
    assert by_rsyslog == alone
    assert "_parse_failure" not in (by_rsyslog.get("tags") or [])


def test_the_document_tells_host_and_time_where_the_line_does_not() -> None:
    document = {
        "@timestamp": "2026-11-24T02:00:00.000Z",
        "message": "Accepted password for an from 203.0.113.9 port 51122 ssh2",
        "host": {"name": "web1"},
        "process": {"name": "sshd"},
        "agent": {"type": "filebeat"},
    }
    made = event("linux_auth", json.dumps(document))
    named = {key: made[key] for key in ("@timestamp", "host.name", "source.ip", "user.name")}
    assert named == {
        "@timestamp": "2026-11-24T02:00:00.000Z",
        "host.name": "web1",
        "source.ip": "203.0.113.9",
        "user.name": "an",
    }


@pytest.mark.parametrize(
    "body", ["{", '{"message": 7}', '{"message": ""}', '["message"]', '{"message": {"a": 1}}']
)
def test_what_is_no_such_document_stays_a_failure_and_keeps_its_text(body: str) -> None:
    record = RawRecord(1, "s", CONTEXT.ingested, body.encode())
    made = normalise(PRODUCTS["nginx"], [record], CONTEXT)
    (table,) = made.tables.values()
    row = table.to_pylist()[0]
    assert "_parse_failure" in row["tags"]
    assert row["event.original"] == body


@pytest.mark.parametrize("product", ["zeek", "aws_cloudtrail"])
def test_a_line_of_json_in_a_shippers_document_is_the_same_event(product: str) -> None:
    line = PRODUCTS[product].samples[0].raw.rstrip("\n")
    document = {"@timestamp": "2026-11-24T02:00:00.000Z", "message": line, "agent": {"type": "x"}}
    assert event(product, json.dumps(document)) == event(product, line)


def test_a_message_of_json_in_a_products_own_json_stays_where_it_is() -> None:
    made = event("generic", json.dumps({"message": '{"a": 1}', "user": {"name": "an"}}))
    assert (made["message"], made["user.name"]) == ('{"a": 1}', "an")
