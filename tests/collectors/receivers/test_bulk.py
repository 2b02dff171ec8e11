"""The `_bulk` body and its answer, as values."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
import zstandard

from collectors.receivers import bulk, handshakes, http_body
from pipeline.model.errors import UsageError

BODY = b"""{"create":{"_index":"w"}}
{"a":1}
{"index":{"_index":"w","_id":"x1"}}
{"b":"\xc4\x91"}
{"delete":{"_index":"w","_id":"x1"}}
{"update":{"_index":"w","_id":"x1"}}
{"doc":{}}
{"create":{}}
{"c":1}
"""


def test_documents_are_taken_as_bytes_and_each_action_gets_its_item() -> None:
    parsed = bulk.parse(BODY, "default", 1000)
    assert parsed.documents == [(b'{"a":1}', None), (b'{"b":"\xc4\x91"}', "x1"), (b'{"c":1}', None)]
    answer = json.loads(bulk.answer(parsed, b"\x01" * 16, 3))
    assert answer["errors"] is True
    assert [
        (next(iter(i)), *i.popitem()[1].values())[:3]
        for i in json.loads(bulk.answer(parsed, b"\x01" * 16, 3))["items"]
    ] == [
        ("create", "w", "01010101010101000000"),
        ("index", "w", "x1"),
        ("delete", "w", "x1"),
        ("update", "w", "x1"),
        ("create", "default", "01010101010101000004"),
    ]
    assert [next(iter(i.values()))["status"] for i in answer["items"]] == [201, 201, 400, 400, 201]


def test_the_same_request_gets_the_same_answer() -> None:
    assert bulk.answer(bulk.parse(BODY, "d", 99), b"a" * 16, 1) == bulk.answer(
        bulk.parse(BODY, "d", 99), b"a" * 16, 1
    )


def test_a_filter_path_without_ids_makes_items_short() -> None:
    parsed = bulk.parse(b'{"create":{}}\n{"a":1}\n', "d", 99)
    answer = bulk.answer(parsed, b"a" * 16, 1, "errors,items.*.error,items.*.status")
    assert json.loads(answer) == {
        "errors": False,
        "took": 1,
        "items": [{"create": {"status": 201}}],
    }


@pytest.mark.parametrize(
    "body", [b"not json\n", b'{"x":{}}\n{}\n', b'["create"]\n', b'{"create":7}\n', b"\xff\n"]
)
def test_lines_that_are_no_bulk_are_refused_whole(body: bytes) -> None:
    with pytest.raises(UsageError, match=r"Malformed action/metadata line \[1\]"):
        bulk.parse(body, "d", 99)


def test_missing_and_oversized_documents_are_refused_one_by_one() -> None:
    parsed = bulk.parse(
        b'{"create":{}}\n' + b"x" * 100 + b'\n{"create":{}}\n{}\n{"create":{}}', "d", 99
    )
    assert [item.error and item.error[0] for item in parsed.items] == [413, None, 400]
    assert parsed.documents == [(b"{}", None)]


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(BODY)),
        ("gzip", gzip.compress(BODY[:40]) + gzip.compress(BODY[40:])),
        ("deflate", zlib.compress(BODY)),
        ("zstd", zstandard.compress(BODY)),
        ("zstd", zstandard.compress(BODY[:40]) + zstandard.compress(BODY[40:])),
        ("", BODY),
        ("identity", BODY),
    ],
)
def test_a_compressed_body_is_undone(encoding: str, packed: bytes) -> None:
    assert http_body.decompress(packed, encoding, 10_000) == BODY


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_bomb_is_stopped_at_the_limit(encoding: str) -> None:
    bomb = bytes(10_000_000)
    packed = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstandard.compress}[
        encoding
    ](bomb)
    with pytest.raises(http_body.BodyTooLargeError):
        http_body.decompress(packed, encoding, 1_000_000)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", b"x"), ("zstd", b"x"), ("br", b"x"), ("gzip", gzip.compress(BODY)[:-9])],
)
def test_a_body_that_cannot_be_undone_is_refused(encoding: str, body: bytes) -> None:
    with pytest.raises(UsageError):
        http_body.decompress(body, encoding, 1_000_000)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("GET", "/_license", 200),
        ("GET", "/_xpack", 200),
        ("GET", "/_nodes/http", 200),
        ("PUT", "/_ilm/policy/winlogbeat", 200),
        ("HEAD", "/_index_template/winlogbeat-8.19.0", 200),
        ("PUT", "/_ingest/pipeline/x", 200),
        ("PUT", "/_data_stream/winlogbeat-8.19.0", 200),
        ("HEAD", "/winlogbeat", 200),
        ("GET", "/_search", None),
        ("GET", "/w/_search", None),
        ("PATCH", "/w", None),
    ],
)
def test_what_shippers_ask_before_they_send_is_answered(
    method: str, path: str, status: int | None
) -> None:
    found = handshakes.answer(method, path)
    assert (found and found[0]) == status
