"""Receivers by limits: which counter says that a sender went beyond, or why there is no such limit for it."""

from __future__ import annotations

import contextlib
import gzip
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contract.test_receiver_contract import by_file, by_http, by_relp, by_tcp, by_udp, until
from support import collector as support
from support.collector import running
from support.polled import Api, without_pauses
from support.relp import frame
from support.sysmon_log import sysmon_log

from collectors import unpack
from collectors.collect import Collector
from collectors.receivers import hands, http_connection, poll_client
from collectors.receivers.hands import Hands
from pipeline.settings.values import CollectSettings

SENDERS = {"udp": by_udp, "tcp": by_tcp, "relp": by_relp, "http": by_http, "files": by_file}
SOURCES = {
    "udp": "q1-fw", "tcp": "q1-fw", "relp": "q1-fw", "http": "q1-web",
    "files": "q1-files", "evtx": "q1-files", "api": "q1-files",
}  # fmt: skip
NO_CONNECTION = "a datagram is whole or is not there"
OWN_PACE = "the collector opens and reads files itself, as fast as the spool takes them"
NOT_UNPACKED = "nothing is unpacked"
RATIO = "a packed file is read piece by piece, to a thousand times its size, and counted as `unreadable`"
TABLE = {
    "a record too long": {
        "udp": "notes cut", "tcp": "notes cut", "relp": "notes cut", "http": "notes cut", "files": "notes cut",
        "evtx": "notes cut", "api": "notes cut",
    },
    "too many connections": {
        "udp": NO_CONNECTION, "tcp": "notes connections_refused", "relp": "notes connections_refused",
        "http": "notes connections_refused of nobody", "files": OWN_PACE, "evtx": OWN_PACE, "api": OWN_PACE,
    },
    "too fast": {
        "udp": "dropped rate", "tcp": "notes rate_limited", "relp": "notes rate_limited",
        "http": "notes rate_limited", "files": OWN_PACE, "evtx": OWN_PACE, "api": OWN_PACE,
    },
    "a head too long": {
        "udp": "it has none", "tcp": "a record's length of ten digits is taken as a line",
        "relp": "notes bad_framing", "http": "notes bad_request of nobody", "files": "it has none",
        "evtx": "it has none", "api": "notes unreadable",
    },
    "too slow": {
        "udp": NO_CONNECTION, "tcp": "notes stuck", "relp": "notes stuck",
        "http": "notes slow_head of nobody", "files": OWN_PACE, "evtx": OWN_PACE, "api": "notes unreadable",
    },
    "unpacked too large": {
        "udp": NOT_UNPACKED, "tcp": NOT_UNPACKED, "relp": NOT_UNPACKED,
        "http": "notes body_refused", "files": RATIO, "evtx": "notes damaged", "api": "notes unreadable",
    },
    "begun and not ended": {
        "udp": NO_CONNECTION, "tcp": "notes unfinished_too_much", "relp": "notes unfinished_too_much",
        "http": "notes bodies_in_hand", "files": "only the place where a line begins is kept of it",
        "evtx": "a chunk has its size", "api": "one answer is read at a time, and has its size",
    },
}  # fmt: skip
SETTINGS = CollectSettings(node="n1", listeners=support.LISTENERS)
COUNTED = [
    pytest.param(limit, name, counter, id=f"{limit} by {name}")
    for limit, row in TABLE.items()
    for name, counter in row.items()
    if counter.startswith(("notes ", "dropped "))
]


def put(collector: Collector, name: str, body: bytes) -> None:
    folder = Path(collector.settings.files[0].paths[0]).parent
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(body)


def connect(collector: Collector, name: str) -> socket.socket:
    return socket.create_connection(
        ("127.0.0.1", collector.ports[name]), timeout=5, source_address=("127.0.0.11", 0)
    )


def long_record(collector: Collector, name: str) -> None:
    SENDERS[name](collector, [b"<1>" + b"z" * 5000, b"<1>next"], True)


def many_connections(collector: Collector, name: str) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(8):
            held.enter_context(contextlib.closing(connect(collector, name)))
        until(lambda: bool(counted(collector, name, TABLE["too many connections"][name])))


def fast(collector: Collector, name: str) -> None:
    for part in (b"a", b"b"):
        SENDERS[name](collector, [b"<1>" + part] * 200, True)


def long_head(collector: Collector, name: str) -> None:
    with connect(collector, name) as sender, contextlib.suppress(ConnectionError):
        sender.sendall(
            b"1 " + b"x" * 100 if name == "relp" else b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000
        )
        sender.recv(1)


def slow(collector: Collector, name: str) -> None:
    with connect(collector, name) as sender, contextlib.suppress(ConnectionError):
        if name == "relp":
            sender.sendall(frame(1, b"open", b""))
        sender.sendall({"tcp": b"<1>half", "relp": b"2 sys", "http": b"GET / HT"}[name])
        while sender.recv(100):
            pass


def bomb(collector: Collector, name: str) -> None:
    body = gzip.compress(bytes(2_000_000))
    head = (
        f"POST /ingest/q1-web HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {support.API_KEY}\r\n"
        f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with connect(collector, name) as sender:
        sender.sendall(head.encode() + body)
        assert sender.recv(100).startswith(b"HTTP/1.1 413")


def unended(collector: Collector, name: str) -> None:
    long = b"x" * 200_000
    head = (
        f"POST /ingest/q1-web HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {support.API_KEY}\r\n"
        "Content-Length: 900000\r\n\r\n"
    )
    begun = {
        "tcp": b"<1>" + long,
        "relp": frame(1, b"open", b"") + b"2 syslog 900000 " + long,
        "http": head.encode() + long,
    }[name]
    with contextlib.ExitStack() as held:
        for _ in range(3):
            sender = held.enter_context(connect(collector, name))
            with contextlib.suppress(ConnectionError):
                sender.sendall(begun)
        until(lambda: bool(counted(collector, name, TABLE["begun and not ended"][name])))


DEEDS: dict[str, Callable[[Collector, str], None]] = {
    "a record too long": long_record, "too many connections": many_connections, "too fast": fast,
    "a head too long": long_head, "too slow": slow, "unpacked too large": bomb, "begun and not ended": unended,
}  # fmt: skip


def counted(collector: Collector, name: str, counter: str) -> int:
    group, what, *of = counter.split()
    source = "" if of else SOURCES[name]
    return sum(
        one[group].get(what, 0)
        for one in collector.snapshot()["counters"]
        if (one["receiver"], one["source"]) == (name, source)
    )


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes long, or much, takes less here."""
    without_pauses(monkeypatch)
    monkeypatch.setattr(hands, "_LEAST", 100_000)
    monkeypatch.setattr(poll_client, "TRIES", 1)
    monkeypatch.setattr(poll_client, "WHOLE_WITHIN", 0.1)
    monkeypatch.setattr(poll_client, "BODY_AT_MOST", 1_000_000)
    monkeypatch.setattr(unpack, "_SURELY_FINE", 100_000)


@pytest.mark.parametrize(
    ("limit", "name", "counter"), [one for one in COUNTED if one.values[1] not in {"evtx", "api"}]
)
@pytest.mark.usefixtures("small")
def test_who_goes_beyond_a_limit_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, name: str, counter: str
) -> None:
    if limit == "too slow":
        monkeypatch.setattr(http_connection, "HEAD_WITHIN", 0.2)
    settings = replace(
        SETTINGS,
        max_record_bytes=1000 if limit == "a record too long" else SETTINGS.max_record_bytes,
        max_connections=16 if limit == "too many connections" else SETTINGS.max_connections,
        max_rate_per_source=50.0 if limit == "too fast" else 0.0,
    )
    with running(tmp_path, settings) as collector:
        collector.intake.limits = replace(
            collector.intake.limits, body=1_000_000, unfinished=0.1 if limit == "too slow" else 60
        )
        if limit == "begun and not ended":
            collector.intake.unfinished = collector.intake.bodies = Hands(300_000)
        DEEDS[limit](collector, name)
        until(lambda: counted(collector, name, counter) > 0)


@pytest.mark.parametrize("limit", [one.values[0] for one in COUNTED if one.values[1] == "evtx"])
@pytest.mark.usefixtures("small")
def test_a_windows_log_beyond_a_limit_is_counted(
    tmp_path: Path, limit: str, request: pytest.FixtureRequest
) -> None:
    if limit == "a record too long":
        name, body = "a.evtx", sysmon_log(request.getfixturevalue("corpora"), {})
    else:
        name, body = "a.evtx.gz", gzip.compress(b"ElfFile\0".ljust(4096, b"\0") + bytes(2_000_000))
    given = support.input_of("evtx", "evtx_file", support.logs_of(tmp_path) / "*.evtx*")
    settings = CollectSettings(
        node="n1", listeners=(), files=(given,), max_record_bytes=1000, settle_seconds=0.1
    )
    with running(tmp_path, settings) as collector:
        put(collector, name, body)
        until(lambda: counted(collector, "evtx", TABLE[limit]["evtx"]) > 0)


def trickle(out: Any) -> None:
    for _ in range(20):
        out.write(b" ")
        time.sleep(0.05)


ANSWERS: dict[str, Any] = {
    "a record too long": (200, {}, [{"id": 1, "text": "x" * 5000}]),
    "a head too long": (200, {"X": "x" * 200_000}, []),
    "too slow": (200, {}, trickle),
    "unpacked too large": (200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(2_000_000))),
}


@pytest.mark.parametrize("limit", ANSWERS)
@pytest.mark.usefixtures("small")
def test_an_api_that_answers_beyond_a_limit_is_counted(tmp_path: Path, limit: str) -> None:
    file = tmp_path.with_name(tmp_path.name + ".yml")
    for api in Api().serve():
        api.say = lambda *_: ANSWERS[limit]
        file.write_text(
            f"{{kind: json, hosts: ['{api.host}'], url: 'http://{api.host}/e', records: '', identity: id}}"
        )
        given = support.input_of("api", "rest_poll", file)
        settings = CollectSettings(node="n1", listeners=(), files=(given,), max_record_bytes=1000)
        with running(tmp_path, settings) as collector:
            until(lambda: counted(collector, "api", TABLE[limit]["api"]) > 0, 10)


def test_each_receiver_has_a_word_on_each_limit() -> None:
    assert set(TABLE) == set(DEEDS)
    assert [set(row) for row in TABLE.values()] == [set(SOURCES)] * len(DEEDS)
    assert {one.values[0] for one in COUNTED if one.values[1] == "api"} == set(ANSWERS)
