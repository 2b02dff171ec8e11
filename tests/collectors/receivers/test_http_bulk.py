"""HTTP over real sockets: Elastic's own client, resends, limits, refusals."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.collector import API_KEY, KEY, KEY_TEXT, running, spooled, tally

from collectors.collect import PUSH_BACK_NAME, Collector

AUTH = {"Authorization": f"ApiKey {API_KEY}"}


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    with running(tmp_path) as started:
        yield started


def ask(
    collector: Collector, method: str, path: str, body: bytes = b"", headers: dict[str, str] = AUTH
) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection("127.0.0.1", collector.ports["http"], timeout=10)
    try:
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        raw = response.read()
    finally:
        connection.close()
    sent = {name.lower(): value for name, value in response.getheaders()}
    return response.status, sent, json.loads(raw) if raw else None


def bulk_body(*documents: str) -> bytes:
    return b"".join(b'{"create":{"_index":"w"}}\n' + d.encode() + b"\n" for d in documents)


def test_elasticsearch_py_sends_bulks_unchanged(collector: Collector, tmp_path: Path) -> None:
    elasticsearch = pytest.importorskip("elasticsearch")
    from elasticsearch import helpers

    client = elasticsearch.Elasticsearch(
        f"http://127.0.0.1:{collector.ports['http']}", api_key=API_KEY, http_compress=True
    )
    assert client.info()["version"]["number"].startswith("8.")
    assert client.ping()
    documents = [{"n": n, "message": "Đăng nhập " + "x" * 300} for n in range(2500)]
    done, errors = helpers.bulk(
        client, ({"_op_type": "create", "_index": "logs-w", **d} for d in documents), chunk_size=500
    )
    assert (done, errors) == (2500, [])
    assert [json.loads(r.body) for r in spooled(tmp_path)] == documents
    assert tally(collector, "http", "q1-web")["acknowledged"] == 2500
    client.close()


def test_a_wrong_key_is_told_to_elasticsearch_py_as_its_own_error(collector: Collector) -> None:
    elasticsearch = pytest.importorskip("elasticsearch")
    client = elasticsearch.Elasticsearch(
        f"http://127.0.0.1:{collector.ports['http']}", api_key=("x", "y"), http_compress=True
    )
    with pytest.raises(elasticsearch.AuthenticationException):
        client.bulk(operations=[{"create": {}}, {"a": "b" * 1000}] * 5000, index="w")
    client.close()


@pytest.mark.parametrize(
    "authorization",
    [
        f"ApiKey {API_KEY}",
        f"Bearer {API_KEY}",
        f"Bearer {KEY_TEXT}",
        f"Basic {API_KEY}",
    ],
)
def test_a_key_is_taken_in_each_form(
    collector: Collector, tmp_path: Path, authorization: str
) -> None:
    status, _, answer = ask(
        collector, "POST", "/_bulk", bulk_body('{"a":1}'), {"Authorization": authorization}
    )
    assert (status, answer["errors"]) == (200, False)
    assert [(r.body, r.source) for r in spooled(tmp_path)] == [(b'{"a":1}', "q1-web")]


def test_a_resent_request_is_answered_as_before_and_stored_once(
    collector: Collector, tmp_path: Path
) -> None:
    body = bulk_body('{"a":1}', '{"a":1}')
    first = ask(collector, "POST", "/_bulk", body)[2]
    packed = ask(
        collector, "POST", "/_bulk", gzip.compress(body), {**AUTH, "Content-Encoding": "gzip"}
    )[2]
    assert [item["create"]["_id"] for item in first["items"]] == [
        item["create"]["_id"] for item in packed["items"]
    ]
    assert len(spooled(tmp_path)) == 2
    ask(collector, "POST", "/_bulk", bulk_body('{"a":1}'))
    assert len(spooled(tmp_path)) == 3
    counted = tally(collector, "http", "q1-web")
    assert (counted["received"], counted["spooled"], counted["repeated"]) == (3, 3, 2)


def test_a_resend_in_the_same_moment_is_stored_once(collector: Collector, tmp_path: Path) -> None:
    body = bulk_body(*(json.dumps({"n": n}) for n in range(200)))
    answers: list[Any] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(ask(collector, "POST", "/_bulk", body)[2]["items"])
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answer == answers[0] for answer in answers)
    assert len(answers) == 8
    assert len(spooled(tmp_path)) == 200


def test_what_a_sender_calls_its_document_is_its_identity(
    collector: Collector, tmp_path: Path
) -> None:
    ask(collector, "POST", "/w/_bulk", b'{"index":{"_id":"7"}}\n{"a":1}\n')
    assert [(r.identity, r.peer) for r in spooled(tmp_path)] == [(b"_id:7", "127.0.0.1")]


def test_lines_are_taken_for_the_key_s_own_source_only(
    collector: Collector, tmp_path: Path
) -> None:
    status, _, answer = ask(collector, "POST", "/ingest/q1-web", b"one\r\n\ntwo \xff\nthree")
    assert (status, answer) == (200, {"source": "q1-web", "accepted": 3})
    status, _, answer = ask(collector, "POST", "/ingest/q2-fw", b"x\n")
    assert (status, answer["error"]["type"]) == (403, "security_exception")
    assert [r.body for r in spooled(tmp_path)] == [b"one", b"two \xff", b"three"]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/", b"", {}, 401),
        ("GET", "/", b"", {"Authorization": "ApiKey ???"}, 401),
        ("GET", "/", b"", {"Authorization": f"Bearer {KEY[0]}:wrong"}, 401),
        ("POST", "/_bulk", b"not a bulk\n", AUTH, 400),
        ("POST", "/_bulk", b"not gzip", {**AUTH, "Content-Encoding": "gzip"}, 400),
        ("POST", "/_bulk", b"x", {**AUTH, "Content-Encoding": "br"}, 400),
        ("GET", "/_search", b"", AUTH, 404),
        ("POST", "/../etc/passwd", b"", AUTH, 404),
    ],
)
def test_a_refusal_says_why_in_elasticsearch_s_shape(
    collector: Collector, tmp_path: Path, method: str, path: str, body: bytes, headers: dict[str, str],
    status: int,
) -> None:  # fmt: skip
    got, sent, answer = ask(collector, method, path, body, headers)
    assert (got, answer["status"]) == (status, status)
    assert answer["error"]["reason"]
    assert sent["x-elastic-product"] == "Elasticsearch"
    assert spooled(tmp_path) == []


def test_a_bomb_is_refused_and_costs_no_memory(collector: Collector) -> None:
    bomb = gzip.compress(bytes(200 << 20), 1)
    got = ask(collector, "POST", "/_bulk", bomb, {**AUTH, "Content-Encoding": "gzip"})
    assert got[0] == 413


def test_a_head_has_no_body_and_an_elastic_accept_is_answered_in_kind(collector: Collector) -> None:
    accept = "application/vnd.elasticsearch+json; compatible-with=9"
    status, sent, answer = ask(collector, "HEAD", "/", b"", {**AUTH, "Accept": accept})
    assert (status, answer, sent["content-type"]) == (200, None, accept)


def test_a_request_cut_off_in_the_middle_stores_nothing(
    collector: Collector, tmp_path: Path
) -> None:
    body = bulk_body('{"a":1}', '{"a":2}')
    head = (
        f"POST /_bulk HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {API_KEY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", collector.ports["http"])) as sender:
        sender.sendall(head.encode() + body[:-5])
    time.sleep(0.1)
    assert spooled(tmp_path) == []
    assert ask(collector, "POST", "/_bulk", body)[0] == 200
    assert len(spooled(tmp_path)) == 2


def test_pushing_back_says_when_to_come_again(collector: Collector, tmp_path: Path) -> None:
    (tmp_path / PUSH_BACK_NAME).write_text("full")
    deadline = time.monotonic() + 5
    while not collector.intake.push_back and time.monotonic() < deadline:
        time.sleep(0.01)
    status, sent, answer = ask(collector, "POST", "/_bulk", bulk_body("{}"))
    assert (status, sent["retry-after"]) == (429, "5")
    assert "takes nothing" in answer["error"]["reason"]
