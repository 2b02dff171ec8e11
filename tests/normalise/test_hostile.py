"""Hostile lines through every product: one event each, nothing raised, nothing usurped, the bytes kept."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cli.output import safe
from pipeline.model import events
from pipeline.model.records import RawRecord
from pipeline.normalise.context import Context, Normalised
from pipeline.normalise.document import event_as_document
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import load_products

PRODUCTS = load_products()
NOW = 1_795_485_600_000_000
CONTEXT = Context("node-1", "phuong-1", "source-1", b"k" * 32, NOW)
LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY l0 "lol">'
    + b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
    + b"]><Event><System><EventID>1</EventID><Computer>&l9;</Computer></System></Event>"
)
OUTSIDE = (
    b'<?xml version="1.0"?><!DOCTYPE e [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b"<Event><System><EventID>1</EventID><Computer>&x;</Computer></System></Event>"
)
NUMBERS = (
    b'{"EventID":1e400,"a":18446744073709551616,"b":-9223372036854775809,"source":{"port":99999999999999999999},'
    b'"process":{"pid":1.5e300},"@timestamp":99999999999999999999999}'
)
USURPER = (
    b'{"organization.id":"other","organization":{"id":"other"},"thapcanh.source":"x","thapcanh":{"node":"evil"},'
    b'"event.id":"00","event":{"ingested":"2020-01-01T00:00:00Z","dataset":"windows.sysmon"},"EventID":1}'
)
SURROGATES = rb'{"EventID":1,"user":{"name":"\ud800"},"\udfff":"\ud83d","Channel":"\udead","Message":"\ud800\udc00"}'
INJECTION = b"\x1b[2J\x1b]0;owned\x07\r\x9b31m\xe2\x80\xaeevil\x08\x7f"
WRAPPED = {  # the same words inside of every format
    "json": b'{"EventID":1,"Channel":"x","user":{"name":%s},"a\\nb\\u001b":"\\r\\n\\u0000"}'
    % json.dumps(INJECTION.decode("latin-1")).encode(),
    "key_value": b'date=2026-11-24 time=09:00:00 devname="' + INJECTION + b'" user="a\nlevel=x" logid="1"',
    "cef": b"CEF:0|v|p|1|" + INJECTION + b"|n|5|src=10.0.0.1 msg=a\\nb" + INJECTION + b" organization.id=other",
    "leef": b"LEEF:1.0|v|p|1|" + INJECTION + b"|usrName=" + INJECTION + b"\torganization.id=other",
    "syslog": b"<134>Nov 24 09:00:00 host" + INJECTION + b" sshd[1]: Failed password for " + INJECTION + b" from 1.2.3.4",
    "syslog5424": b"<134>1 2026-11-24T09:00:00Z " + INJECTION + b" app - - [x@1 organization.id=\"other\"] m\nm",
    "access": b'1.2.3.4 - ' + INJECTION + b' [24/Nov/2026:16:00:00 +0700] "GET /' + INJECTION + b' HTTP/1.1" 200 1 "-" "x"',
    "xml": b"<Event><System><EventID>1</EventID><Computer>a&#10;b&#27;[2J</Computer></System></Event>",
}  # fmt: skip
CASES = {
    "deep object": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "deep list in an event": b'{"EventID":1,"Channel":"x","a":'
    + b"[" * 10_000
    + b"]" * 10_000
    + b"}",
    "deep xml": b"<a>" * 10_000 + b"</a>" * 10_000,
    "billion laughs": LAUGHS,
    "outside entity": OUTSIDE,
    "numbers beyond 64 bits": NUMBERS,
    "usurper": USURPER,
    "user as text and as object": b'{"EventID":1,"user":"an","user":{"name":"binh"},"user.name":"chi","event":"x"}',
    "commas": b"," * 100_000,
    "quotes": b'1,"' + b'",""' * 30_000,
    "quotes and commas": b'"' * 50_001 + b"," * 50_000,
    "formula": b'=cmd|\'/C calc\'!A0,@SUM(1+1),-2+3,"=HYPERLINK(""http://x"")"',
    "years out of the calendar": b'{"EventID":1,"@timestamp":"0000-00-00T00:00:00Z","event":{"created":"9999-12-31T23:59:59Z"}}',
    "lone surrogates": SURROGATES,
    **{f"injection by {name}": body for name, body in WRAPPED.items()},
}


def one(product: str, body: bytes) -> tuple[dict[str, Any], Normalised]:
    made = normalise(PRODUCTS[product], [RawRecord(1, "source-1", NOW, body)], CONTEXT)
    (row,) = [row for table in made.tables.values() for row in table.to_pylist()]
    return row, made


@pytest.mark.parametrize("product", sorted(PRODUCTS))
@pytest.mark.parametrize("case", sorted(CASES))
def test_a_hostile_record_is_one_event_of_its_agency_with_its_bytes(
    case: str, product: str
) -> None:
    body = CASES[case]
    row, made = one(product, body)
    assert (row[events.ORIGINAL_BYTES] or row[events.ORIGINAL].encode()) == body
    assert (row[events.AGENCY], row[events.NODE], row[events.SOURCE]) == (
        "phuong-1",
        "node-1",
        "source-1",
    )
    assert row[events.DATASET] in PRODUCTS[product].datasets
    assert row[events.INGESTED] is not None
    assert "root:" not in str(row)  # no file of ours was read
    for table in made.tables.values():
        table.validate(full=True)
        document = event_as_document(table, 0)
        assert len(str(document)) < 20 * len(body) + 5_000  # nothing multiplies
        json.dumps(document, default=str).encode()  # and every text can be written


@pytest.mark.parametrize("name", sorted(WRAPPED))
def test_a_terminal_sees_pictures_of_control_characters_and_no_escape(name: str) -> None:
    row, _ = one("generic", WRAPPED[name])
    shown = safe(str(row[events.ORIGINAL]))
    assert not {
        char for char in shown if (ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160
    }


def test_an_xml_with_a_document_type_is_refused_in_words() -> None:
    for body in (LAUGHS, OUTSIDE):
        row, made = one("windows", body)
        assert row[events.ERROR] == "XML with a document type declaration is refused"
        assert row[events.TAGS] == [events.TAG_PARSE_FAILURE]
        assert [letter.cause for letter in made.dead] == ["parse_failure"]


def test_a_number_beyond_64_bits_loses_the_field_and_says_so() -> None:
    row, _ = one("generic", NUMBERS)
    assert row.get("source.port") is None
    assert "source.port: not a whole number of 64 bits" in row[events.ERROR]
    extra = dict(row[events.EXTRA])
    assert extra["generic.a"] == "18446744073709551616"


odd = st.text(st.characters(codec=None), max_size=12) | st.sampled_from(
    [
        "\x00",
        "\x1b[2J",
        "\u202e",
        "\r\n",
        "organization.id",
        "thapcanh.node",
        "\ud800",
        "=",
        '"',
        "|",
        "\\",
    ]
)


@pytest.mark.parametrize("name", sorted(PRODUCTS))
@settings(max_examples=40, deadline=None)
@given(pairs=st.dictionaries(odd, odd, max_size=5))
def test_odd_names_and_values_through_every_format_raise_nothing_and_usurp_nothing(
    name: str, pairs: dict[str, str]
) -> None:
    bodies = [
        json.dumps({"EventID": 1, "Channel": "x", **pairs}),
        " ".join(f'{key}="{value}"' for key, value in pairs.items()),
        "CEF:0|v|p|1|1|n|5|" + " ".join(f"{key}={value}" for key, value in pairs.items()),
        "LEEF:2.0|v|p|1|1|^|" + "^".join(f"{key}={value}" for key, value in pairs.items()),
        "<134>Nov 24 09:00:00 h p[1]: " + ",".join([*pairs, *pairs.values()]),
    ]
    records = [
        RawRecord(n, "source-1", NOW, body.encode("utf-8", "surrogatepass"))
        for n, body in enumerate(bodies, 1)
    ]
    made = normalise(PRODUCTS[name], records, CONTEXT)
    assert made.rows + made.dropped == len(records)
    for table in made.tables.values():
        assert set(table.column(events.AGENCY).to_pylist()) == {"phuong-1"}
        assert set(table.column(events.NODE).to_pylist()) == {"node-1"}


MEGABYTES = {
    "one long value": b'{"a":"' + b"x" * 1_000_000 + b'"}',
    "one name a hundred thousand times": b"k=v " * 100_000,
    "a hundred thousand names": b" ".join(b"k%d=v" % n for n in range(100_000)),
    "names of JSON": b"{" + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}",
    "one name by two ways": b'{"a":{"b":1},"a.b":2,"a.b":3}',
    "CEF": b"CEF:0|v|p|1|7|n|5|" + b"k=v " * 100_000,
    "LEEF": b"LEEF:1.0|v|p|1|7|" + b"k=v\t" * 100_000,
    "semicolons": b"a,b,c;" * 100_000,
}


@pytest.mark.parametrize("case", sorted(MEGABYTES))
def test_a_megabyte_takes_no_more_than_a_few_of_them(
    case: str,
) -> None:
    for name in PRODUCTS:
        began = time.process_time()
        row, _ = one(name, MEGABYTES[case])
        assert time.process_time() - began < 5, name
        assert len(row) < 700
        assert len(row.get(events.EXTRA) or ()) <= 1_000


def test_the_memory_of_a_hostile_megabyte_is_bounded() -> None:
    tracemalloc.start()
    for case in ("a hundred thousand names", "names of JSON"):
        for name in ("generic", "windows", "fortinet_fortigate"):
            one(name, MEGABYTES[case])
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 200_000_000
    assert kept < 20_000_000


def test_a_text_and_an_object_of_one_name_stand_side_by_side_in_one_batch() -> None:
    bodies = [
        b'{"user":"an"}',
        b'{"user":{"name":"binh"}}',
        b'{"user":["a",{"b":1}]}',
        b'{"user.name":"chi","user":1}',
    ]
    given = [RawRecord(n, "source-1", NOW, body) for n, body in enumerate(bodies, 1)]
    made = normalise(PRODUCTS["generic"], given, CONTEXT)
    (table,) = made.tables.values()
    documents = [event_as_document(table, row) for row in range(4)]
    assert [document.get("user") for document in documents] == [
        None,
        {"name": "binh"},
        None,
        {"name": "chi"},
    ]
    assert [document.get("generic") for document in documents] == [
        {"user": "an"}, None, {"user": '["a",{"b":1}]'}, {"user": "1"},
    ]  # fmt: skip
    names = table.column_names
    assert not [
        a for a in names for b in names if b.startswith(f"{a}.")
    ]  # no column is the beginning of another
