"""Promises of the normaliser: pure, one row a record, the same however batches are cut, never an exception."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model import events
from pipeline.model.ids import event_id, receipt_identity
from pipeline.model.records import RawRecord
from pipeline.normalise import normaliser
from pipeline.normalise.context import Context, Normalised
from pipeline.normalise.document import event_as_document
from pipeline.normalise.normaliser import normalise, normalise_safely
from pipeline.normalise.product import Product, load_products

KEY = b"k" * 32
NOW = 1_795_485_600_000_000
CONTEXT = Context("node-1", "phuong-1", "source-1", KEY, NOW + 5_000_000)
PRODUCTS = load_products()
SAMPLES = [sample.raw.encode() for product in PRODUCTS.values() for sample in product.samples]


def records(bodies: Sequence[bytes], first: int = 1) -> list[RawRecord]:
    return [RawRecord(first + i, "source-1", NOW + i, body) for i, body in enumerate(bodies)]


def rows(made: Normalised) -> list[dict[str, Any]]:
    """All rows in sequence order, nulls left out (a column may be missing from a batch)."""
    found = [
        {name: value for name, value in row.items() if value is not None and value != []}
        for table in made.tables.values()
        for row in table.to_pylist()
    ]
    return sorted(found, key=lambda row: row[events.SEQUENCE])


def one(product: str, body: bytes, context: Context = CONTEXT) -> dict[str, Any]:
    return rows(normalise(PRODUCTS[product], records([body]), context))[0]


ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "1"))  # `make fuzz`
hostile = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(SAMPLES),
    st.builds(
        lambda sample, start, stop, junk: sample[:start] + junk + sample[stop:],
        st.sampled_from(SAMPLES), st.integers(0, 300), st.integers(0, 600), st.binary(max_size=20),
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["user", "event", "EventID", "winlog", "Event", "a.b", "a"]), inner, max_size=5),
        max_leaves=20,
    ).map(lambda value: __import__("json").dumps(value).encode()),
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(PRODUCTS))
@settings(max_examples=30 * ROUNDS, deadline=None)
@given(bodies=st.lists(hostile, max_size=12), cut=st.integers(0, 12))
def test_any_bytes_give_one_row_each_and_the_same_however_they_are_cut(
    name: str, bodies: list[bytes], cut: int
) -> None:
    product = PRODUCTS[name]
    batch = records(bodies)
    whole = normalise(product, batch, CONTEXT)
    parts = [normalise(product, batch[:cut], CONTEXT), normalise(product, batch[cut:], CONTEXT)]
    assert whole.rows + whole.dropped == len(bodies)
    assert rows(whole) == sorted(
        (row for part in parts for row in rows(part)), key=lambda r: r[events.SEQUENCE]
    )
    assert whole.dead == parts[0].dead + parts[1].dead
    for row in rows(whole):
        kept = row.get(events.ORIGINAL_BYTES) or row[events.ORIGINAL].encode()
        assert kept == bodies[row[events.SEQUENCE] - 1]
    for table in whole.tables.values():
        table.validate(full=True)


@settings(max_examples=20 * ROUNDS, deadline=None)
@given(bodies=st.lists(hostile, min_size=1, max_size=8))
def test_nothing_that_came_before_changes_a_result(bodies: list[bytes]) -> None:
    for name in ("generic", "windows", "nginx"):
        first = rows(normalise(PRODUCTS[name], records(bodies), CONTEXT))
        normalise(PRODUCTS[name], records(SAMPLES), CONTEXT)
        assert rows(normalise(PRODUCTS[name], records(bodies), CONTEXT)) == first


def test_the_envelope_tells_receipt_and_circumstances() -> None:
    record = RawRecord(7, "source-1", NOW, b'{"a":1}', peer="10.0.0.9")
    row = rows(normalise(PRODUCTS["generic"], [record], CONTEXT))[0]
    assert {
        name: row[name] for name in row if name in events.ENVELOPE and name != events.MAPPING
    } == {
        events.ID: event_id(KEY, "source-1", receipt_identity("node-1", 7), b'{"a":1}'),
        events.NODE: "node-1",
        events.SEQUENCE: 7,
        events.AGENCY: "phuong-1",
        events.SOURCE: "source-1",
        events.PRODUCT: "generic",
        events.DATASET: "generic.log",
        events.TIME: row[events.CREATED],
        events.CREATED: row[events.CREATED],
        events.INGESTED: row[events.INGESTED],
        events.ORIGINAL: '{"a":1}',
        events.PEER: "10.0.0.9",
    }


def test_a_record_with_an_identity_of_its_own_is_the_same_event_from_any_receipt() -> None:
    body = PRODUCTS["windows"].samples[0].raw.encode()
    first = normalise(PRODUCTS["windows"], records([body], 1), CONTEXT)
    again = normalise(PRODUCTS["windows"], records([body], 99), CONTEXT)
    other = normalise(PRODUCTS["generic"], records([body], 99), CONTEXT)
    ids = [rows(made)[0][events.ID] for made in (first, again, other)]
    assert ids[0] == ids[1] != ids[2]
    assert (first.resendable, other.resendable) == (True, False)


def test_equal_lines_without_identity_are_two_events() -> None:
    made = rows(normalise(PRODUCTS["generic"], records([b"hello", b"hello"]), CONTEXT))
    assert made[0][events.ID] != made[1][events.ID]


def test_what_supersedes_an_event_is_named_by_it_and_the_mapping() -> None:
    old = "ab" * 16
    twice = [RawRecord(n, "source-1", NOW, b"hello", replaces=old) for n in (1, 2)]
    made = rows(normalise(PRODUCTS["generic"], twice, CONTEXT))
    assert made[0][events.ID] == made[1][events.ID]
    assert made[0][events.REPLACES] == old


def test_sources_of_one_product_in_one_batch_are_as_each_alone() -> None:
    owners = {"s1": "phuong-1", "s2": "phuong-2"}
    bodies = [*(sample.raw.encode() for sample in PRODUCTS["windows"].samples), b"not json", b" "]
    given = [RawRecord(n, f"s{n % 2 + 1}", NOW, body) for n, body in enumerate(bodies, 1)]
    together = normalise(
        PRODUCTS["windows"], given, replace(CONTEXT, agency="", source="", owners=owners)
    )
    alone = [
        normalise(
            PRODUCTS["windows"], [r for r in given if r.source == name], replace(CONTEXT, agency=agency, source=name)
        )
        for name, agency in owners.items()
    ]  # fmt: skip
    parts = [row for made in alone for row in rows(made)]
    assert rows(together) == sorted(parts, key=lambda row: row[events.SEQUENCE])
    assert sorted(together.dead, key=repr) == sorted(
        (d for made in alone for d in made.dead), key=repr
    )
    assert together.dropped == sum(made.dropped for made in alone)


def test_bytes_that_are_no_text_are_kept_beside_the_text() -> None:
    row = one("generic", b"h\xe0 n\xf4i \x00\xff")
    assert row[events.ORIGINAL_BYTES] == b"h\xe0 n\xf4i \x00\xff"
    assert row[events.ORIGINAL] == "h\ufffd n\ufffdi \x00\ufffd"
    assert events.ORIGINAL_BYTES not in one("generic", "hà nội".encode())


def test_a_declared_encoding_is_read_and_not_guessed() -> None:
    context = Context("n", "a", "s", KEY, NOW, encoding="cp1258")
    row = one(
        "generic",
        "hà nội".replace("ộ", "ô\u0323").encode("cp1258"),
        context,
    )
    assert row[events.ORIGINAL].startswith("hà n")
    assert events.ORIGINAL_BYTES not in row


@pytest.mark.parametrize("encoding", ["tcvn3", "viscii", "vni", "cp1258", "utf-16-le", "utf-16-be"])
def test_fields_are_composed_and_the_original_is_as_it_came(encoding: str) -> None:
    context = Context("n", "a", "s", KEY, NOW, encoding=encoding)
    line = "<13>Nov 24 09:00:00 may-1 app: cô Ba"
    tail = {"cp1258": "ò\u0323", "tcvn3": "i\u0323"}.get(
        encoding, "ị"
    )  # marks apart, where it has such
    row = one("generic", (line + tail).replace("ò", "o").encode(encoding), context)
    assert row["host.name"] == "may-1"
    assert row["message"] == "cô Ba" + {"cp1258": "ọ"}.get(encoding, "ị")
    assert row[events.ORIGINAL] == (line + tail).replace("ò", "o")
    assert events.ORIGINAL_BYTES not in row


def test_the_mark_at_the_beginning_of_a_file_is_no_part_of_its_first_line() -> None:
    assert one("generic", b'\xef\xbb\xbf{"user":{"name":"an"}}')["user.name"] == "an"
    assert (
        one("aws_cloudtrail", b'\xef\xbb\xbf{"eventName":"ConsoleLogin"}').get(events.TAGS) is None
    )
    row = one("generic", b"\xef\xbb\xbf<13>Nov 24 09:00:00 may-1 app: x")
    assert (row["host.name"], row[events.ORIGINAL][:4]) == ("may-1", "\ufeff<13")


def test_a_sender_cannot_write_what_the_pipeline_sets() -> None:
    row = one(
        "generic",
        b'{"organization.id":"x","thapcanh":{"node":"y"},"event":{"id":"1","ingested":"2020-01-01"}}',
    )
    assert (row[events.AGENCY], row[events.NODE], len(row[events.ID])) == ("phuong-1", "node-1", 16)
    assert dict(row[events.EXTRA]) == {
        "generic.organization.id": "x",
        "generic.thapcanh.node": "y",
        "generic.event.id": "1",
        "generic.event.ingested": "2020-01-01",
    }


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"[" * 10_000,
        b'{"a":"' + b"x" * 2_000_000 + b'"}',
        b"k=" * 300_000,
        b"<" * 100_000,
        b"<Event>" * 100_000,
        b"\x00" * 1_000 + b"x",
        b'{"\\ud800":"\\udfff"}',
        b'{"a":1e999,"b":NaN,"c":-123456789012345678901234567890}',
        b"\x1b[2J\x1b]0;title\x07",
        b"=" * 100_000,
        b"CEF:0|" + b"\\" * 100_000,
        b"LEEF:2.0|" + b"|" * 100_000,
        b"<134>1 " + b"[" * 100_000,
        b"<134>Nov 24 09:00:00 h p: " + b'"' * 100_000,
    ],
    ids=lambda body: body[:12].decode("latin-1"),
)
def test_hostile_records_stay_events_within_a_second(body: bytes) -> None:
    import time

    for name, product in PRODUCTS.items():
        started = time.process_time()
        made = normalise(product, records([body]), CONTEXT)
        assert made.rows == 1, name
        assert time.process_time() - started < 2.0, name


def test_a_bad_field_is_lost_with_a_remark_and_the_event_stays() -> None:
    row = one("generic", b'{"source":{"port":"abc","ip":"10.0.0.1"},"user":{"name":"an"}}')
    assert row[events.ERROR] == "source.port: not a whole number of 64 bits: abc"
    assert (row["source.ip"], row["user.name"], row.get("source.port")) == ("10.0.0.1", "an", None)
    assert events.TAGS not in row


def test_a_record_that_cannot_be_parsed_is_an_event_and_a_dead_letter() -> None:
    made = normalise(PRODUCTS["windows"], records([b"not json"]), CONTEXT)
    row = rows(made)[0]
    assert row[events.TAGS] == [events.TAG_PARSE_FAILURE]
    assert row[events.ORIGINAL] == "not json"
    assert [(d.sequence, d.cause, d.event, d.body) for d in made.dead] == [
        (1, "parse_failure", row[events.ID].hex(), b"")
    ]


def test_blank_lines_are_dropped_and_counted() -> None:
    made = normalise(PRODUCTS["generic"], records([b"", b" \r\n", b"\x00\x00", b"x"]), CONTEXT)
    assert (made.rows, made.dropped) == (1, 3)


def test_a_record_that_breaks_the_normaliser_is_bisected_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = normaliser._normalise

    def breaks(product: Product, batch: Sequence[RawRecord], context: Context) -> Normalised:
        if any(record.body == b"poison" for record in batch):
            raise RuntimeError("cannot go on")
        return real(product, batch, context)

    monkeypatch.setattr(normaliser, "_normalise", breaks)
    bodies = [b"a", b"b", b"poison", b"c", b"", b"d"]
    made = normalise_safely(PRODUCTS["generic"], records(bodies), CONTEXT)
    assert [row[events.ORIGINAL] for row in rows(made)] == ["a", "b", "c", "d"]
    assert made.dropped == 1
    assert [(d.sequence, d.cause, d.body, d.message) for d in made.dead] == [
        (3, "poison", b"poison", "the normaliser failed: RuntimeError: cannot go on")
    ]


@pytest.mark.parametrize("more", [(), (events.TIME,)])
def test_only_wanted_columns_are_built_and_say_the_same(more: tuple[str, ...]) -> None:
    wanted = frozenset(["winlog.event_data.CommandLine", "winlog.channel", "event.code", *more])
    bodies = [sample.raw.encode() for sample in PRODUCTS["windows"].samples]
    few = Context("node-1", "phuong-1", "source-1", KEY, NOW + 5_000_000, columns=wanted)
    whole, part = (
        normalise(PRODUCTS["windows"], records(bodies), CONTEXT),
        normalise(PRODUCTS["windows"], records(bodies), few),
    )
    kept = wanted | {events.SEQUENCE, events.ORIGINAL, events.DATASET}
    assert [{n: v for n, v in row.items() if n in kept} for row in rows(part)] == [
        {n: v for n, v in row.items() if n in kept} for row in rows(whole)
    ]
    sysmon = part.tables["windows.sysmon"].column_names
    assert [name for name in sysmon if name not in events.ENVELOPE] == sorted(wanted - set(more))
    if not more:  # the receipt's time stands in
        assert all(row[events.TIME] == row[events.CREATED] for row in rows(part))


def test_a_row_is_shown_as_a_nested_document_and_clashes_lose_nothing() -> None:
    made = normalise(
        PRODUCTS["generic"], records([b'{"x":"text","x.y":1,"event":{"action":"go"}}']), CONTEXT
    )
    document = event_as_document(made.tables["generic.log"], 0)
    assert document["generic"] == {"x": {"_value": "text", "y": "1"}}
    assert document["event"]["action"] == "go"
    assert document["@timestamp"] == "2026-11-24T02:00:00.000Z"


@pytest.mark.parametrize(
    ("line", "host"),
    [
        (b"<134>Nov 24 09:00:00 sshd[7]: hello", "192.0.2.77"),  # its sender stands for it
        (b"<134>Nov 24 09:00:00 gw-1 sshd[7]: hello", "gw-1"),
        (b"Nov 24 09:00:00 sshd[7]: hello", None),  # not sent by syslog: anyone may have sent it
        (b"<134>1 2026-11-24T09:00:00Z gw-2 CEF:0|v|p|1|7|n|5|src=10.0.0.1", "gw-2"),
        (b"<134>2026-11-24T09:00:00  gw-3 WF ADMIN_M", "gw-3"),
    ],
)
def test_a_syslog_line_without_a_host_is_its_sender_s(line: bytes, host: str | None) -> None:
    record = RawRecord(1, "source-1", NOW, line, peer="192.0.2.77")
    row = rows(normalise(PRODUCTS["generic"], [record], CONTEXT))[0]
    assert row.get("host.name") == host


def test_what_stands_behind_a_header_is_the_message_also_where_it_is_opened() -> None:
    assert one("generic", b'<134>Nov 24 09:00:00 h app: {"a":1}')["message"] == '{"a":1}'
    row = one("generic", b'<134>1 2026-11-24T09:00:00Z h app - - [x@1 user="an"]')
    assert row["message"] == '[x@1 user="an"]'
