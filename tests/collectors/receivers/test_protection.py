"""A hostile sender beside a good one: nothing that it does stops another agency's logs."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from contract.test_receiver_contract import by_http, by_tcp, until
from support import collector as support
from support.collector import running, spooled, tally

from collectors.collect import Collector
from collectors.receivers import http_connection
from collectors.receivers.rates import Rates
from pipeline.settings.values import CollectSettings

SETTINGS = CollectSettings(node="n1", listeners=support.LISTENERS)
SMALL = replace(SETTINGS, max_connections=40)


def post(collector: Collector, body: bytes, **headers: str) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{collector.ports['http']}/_bulk", data=body,
        headers={"Authorization": f"ApiKey {support.API_KEY}", **headers},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def notes(collector: Collector) -> dict[str, int]:
    counted = collector.snapshot()["counters"]
    return {
        one["receiver"]: one["notes"]["connections_refused"]
        for one in counted
        if "connections_refused" in one["notes"]
    }


def good_ones_get_through(collector: Collector, root: Path) -> None:
    before = len(spooled(root))
    by_http(collector, [b"good by http"], True)
    with socket.create_connection(
        ("127.0.0.1", collector.ports["tcp"]), timeout=5, source_address=("127.0.0.12", 0)
    ) as sender:
        sender.sendall(b"<1>good by tcp\n")
        until(lambda: len(spooled(root)) >= before + 2)


def test_connections_of_one_address_leave_room_for_others(tmp_path: Path) -> None:
    with running(tmp_path, SMALL) as collector, contextlib.ExitStack() as held:
        for name in ("http", "tcp", "relp"):
            for _ in range(30):
                one = socket.create_connection(
                    ("127.0.0.1", collector.ports[name]), source_address=("127.0.0.11", 0)
                )
                held.callback(one.close)
        until(lambda: notes(collector) == {"http": 20, "tcp": 20, "relp": 20}, 10)
        good_ones_get_through(collector, tmp_path)


def test_a_head_that_trickles_in_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connection, "HEAD_WITHIN", 0.5)
    with running(tmp_path) as collector:
        with socket.create_connection(("127.0.0.1", collector.ports["http"]), timeout=5) as sender:
            began = time.monotonic()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                while time.monotonic() - began < 5:
                    sender.sendall(b"G")
                    time.sleep(0.05)
            assert time.monotonic() - began < 4
        assert tally(collector, "http", "")["notes"] == {"slow_head": 1}
        kept = urllib.request.Request(
            f"http://127.0.0.1:{collector.ports['http']}/",
            headers={"Authorization": f"ApiKey {support.API_KEY}"},
        )
        assert urllib.request.urlopen(kept, timeout=5).status == 200


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, encoding: str) -> None:
    plain = b'{"create":{}}\n' + b'{"m":"' + b"0" * (200 << 20) + b'"}\n'
    bomb = gzip.compress(plain, 1) if encoding == "gzip" else zstandard.compress(plain)
    del plain
    assert len(bomb) < 1 << 20
    with running(tmp_path) as collector:
        assert post(collector, bomb, **{"Content-Encoding": encoding}) == 413
        good_ones_get_through(collector, tmp_path)


def test_a_head_of_any_size_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        with socket.create_connection(("127.0.0.1", collector.ports["http"]), timeout=5) as sender:
            with contextlib.suppress(ConnectionError):
                sender.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 1_000_000)
            with contextlib.suppress(ConnectionError):
                assert sender.recv(100).startswith(b"HTTP/1.1 4") or sender.recv(1) == b""
        good_ones_get_through(collector, tmp_path)


def test_a_source_that_sends_too_fast_waits_and_another_does_not(tmp_path: Path) -> None:
    settings = replace(SETTINGS, max_rate_per_source=100.0)
    with running(tmp_path, settings) as collector:
        by_tcp(collector, [b"<1>x"] * 1000, True)
        until(lambda: tally(collector, "tcp", "q1-fw")["notes"] == {"rate_limited": 1})
        first, second = (
            b"".join(b'{"create":{}}\n{"%s":%d}\n' % (name, n) for n in range(400))
            for name in (b"a", b"b")
        )
        assert [post(collector, first), post(collector, second)] == [200, 429]
        began = time.monotonic()
        with socket.create_connection(
            ("127.0.0.1", collector.ports["tcp"]), source_address=("127.0.0.12", 0)
        ) as sender:
            sender.sendall(b"<1>good by tcp\n")
            until(lambda: any(r.source == "q2-fw" for r in spooled(tmp_path)))
        assert time.monotonic() - began < 5


def test_a_bucket_fills_with_time_and_goes_into_debt() -> None:
    rates = Rates(10)
    assert [rates.take("a", 20, 0.0), rates.take("a", 5, 0.0), rates.take("b", 1, 0.0)] == [
        0.0,
        0.5,
        0.0,
    ]
    assert [rates.owes("a", 0.25), rates.owes("a", 1.0), Rates(0).take("a", 10**9, 0.0)] == [
        0.25,
        0.0,
        0.0,
    ]


def test_nothing_in_a_record_says_whose_it_is(tmp_path: Path) -> None:
    lie = {
        "organization": {"id": "q2"}, "organization.id": "q2", "thapcanh": {"source": "q2-fw"},
        "event": {"id": "x", "created": "2001-01-01T00:00:00Z"}, "_index": "q2",
    }  # fmt: skip
    with running(tmp_path) as collector:
        assert (
            post(collector, b'{"create":{"_index":"q2"}}\n' + json.dumps(lie).encode() + b"\n")
            == 200
        )
        until(lambda: len(spooled(tmp_path)) == 1)
    (record,) = spooled(tmp_path)
    assert (record.source, json.loads(record.body)) == ("q1-web", lie)
