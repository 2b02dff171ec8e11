"""A source's own layout: as its sender's configuration has it, compiled once, before what ships."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.model.clock import to_micros
from pipeline.model.errors import UsageError
from pipeline.model.events import MAPPING, ORIGINAL, TAGS
from pipeline.model.records import RawRecord
from pipeline.normalise.context import Context
from pipeline.normalise.document import flat_event
from pipeline.normalise.layout import as_laid_out, laid_out, takes_layout
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import Product, load_products
from pipeline.sources.drafting.draft import compiled, draft_product

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
NGINX = """log_format chinh '$remote_addr [$time_iso8601] "$request" $status '
                  '$body_bytes_sent rt=$request_time host="$http_host"';"""
APACHE = r'LogFormat "%v %h %u %t \"%r\" %>s %O %D" rieng'


def events(product: Product, *lines: str) -> list[dict[str, Any]]:
    context = Context("n", "a", "s", b"k" * 16, to_micros(NOW))
    records = [RawRecord(n, "s", to_micros(NOW), line.encode()) for n, line in enumerate(lines, 1)]
    tables = normalise(product, records, context).tables.values()
    rows = [flat_event(row) for table in tables for row in table.to_pylist()]
    return sorted(rows, key=lambda row: str(row[ORIGINAL]))


def test_nginx_s_own_directive_is_read_and_the_usual_lines_still_are() -> None:
    product = laid_out(load_products()["nginx"], NGINX)
    own = '192.0.2.7 [2026-11-24T09:00:00+07:00] "GET /tra-cuu?x=1 HTTP/1.1" 404 12 rt=0.250 host="dvc.vn"'
    usual = '203.0.113.5 - an [24/Nov/2026:09:00:00 +0700] "GET / HTTP/1.1" 200 5 "-" "curl"'
    first, second = events(product, own, usual)
    names = ("@timestamp", "source.ip", "url.path", "url.query", "http.response.status_code",
             "event.outcome", "event.duration", "url.domain", "event.category")  # fmt: skip
    assert [first.get(name) for name in names] == [
        "2026-11-24T02:00:00.000Z", "192.0.2.7", "/tra-cuu", "x=1", 404, "failure", 250_000_000,
        "dvc.vn", ["web"],
    ]  # fmt: skip
    assert (second["user.name"], second["user_agent.original"]) == ("an", "curl")
    assert first[MAPPING] != load_products()["nginx"].revision


def test_apache_s_own_directive_has_outcome_user_and_duration() -> None:
    product = laid_out(load_products()["apache"], APACHE)
    line = 'web1 192.0.2.7 an [24/Nov/2026:09:00:00 +0700] "POST /x HTTP/1.1" 503 77 1500'
    (event,) = events(product, line)
    names = (
        "@timestamp",
        "user.name",
        "http.response.status_code",
        "event.outcome",
        "event.duration",
    )
    assert [event.get(name) for name in names] == [
        "2026-11-24T02:00:00.000Z", "an", 503, "failure", 1_500_000,
    ]  # fmt: skip


def test_a_line_longer_than_its_layout_is_not_half_read() -> None:
    product = laid_out(load_products()["nginx"], '$remote_addr $status "$request"')
    (event,) = events(product, '192.0.2.7 200 "GET / HTTP/1.1" more')
    assert "_parse_failure" in event[TAGS]


def test_a_csv_header_names_a_source_s_columns_in_its_own_order() -> None:
    lines = ["so;ngay;user;src_ip", "1;2026-11-24;an;10.0.0.1", "2;2026-11-24;binh;10.0.0.2"]
    base = compiled(draft_product("van_thu", lines, now=NOW))
    assert base.spec.format["body"] == "csv"
    product = laid_out(base, "src_ip\tuser\tngay\tphong")
    (event,) = events(product, "10.0.0.9\tchi\t2026-11-24\tP1")
    assert (event["user.name"], event["source.ip"], event["van_thu.phong"]) == (
        "chi", "10.0.0.9", "P1",
    )  # fmt: skip


def test_a_fields_line_of_the_source_reads_records_without_one() -> None:
    product = laid_out(
        load_products()["iis"], "#Fields: time c-ip sc-status cs-method cs-uri-stem date"
    )
    own, with_header = events(
        product,
        "02:00:00 192.0.2.7 200 GET /a.aspx 2026-11-24",
        "#Fields: date time cs-method c-ip sc-status\n2026-11-24 02:00:01 GET 192.0.2.8 404",
    )[::-1]
    assert (own["source.ip"], own["url.path"]) == ("192.0.2.7", "/a.aspx")
    assert (with_header["source.ip"], with_header["http.response.status_code"]) == (
        "192.0.2.8",
        404,
    )


@pytest.mark.parametrize(
    ("product", "layout"),
    [
        ("nginx", "no variable"), ("nginx", "$remote_addr$status"), ("nginx", "log_format x;"),
        ("iis", "#Fields: date"), ("iis", "#Fields: a b a"), ("bind", "$remote_addr"),
        ("nginx", '$remote_addr "' * 400), ("nginx", "${__import__('os')}"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_layout_is_refused_and_does_no_harm_where_it_stands(
    product: str, layout: str
) -> None:
    given = load_products()[product]
    with pytest.raises(UsageError):
        laid_out(given, layout)
    assert as_laid_out(given, layout) is given


def test_a_layout_is_compiled_once_and_only_some_products_take_one() -> None:
    nginx = load_products()["nginx"]
    assert laid_out(nginx, NGINX) is laid_out(nginx, NGINX)
    assert laid_out(nginx, "") is nginx
    taking = {name for name, one in load_products().items() if takes_layout(one)}
    assert {"nginx", "apache", "iis"} <= taking
    assert not taking & {"bind", "windows", "paloalto_panos"}
