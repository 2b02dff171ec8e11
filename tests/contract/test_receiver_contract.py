"""What every receiver owes: identity, exact bytes, counters that add up, push-back, a clean stop."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from support import collector as support
from support.collector import running, spooled, tally
from support.relp import RelpClient

from collectors.collect import PUSH_BACK_NAME, Collector
from collectors.receivers.base import Delivery
from pipeline.model.errors import FaultsError
from pipeline.settings.values import CollectSettings, Listener

Sender = Callable[[Collector, list[bytes], bool], None]


def by_udp(collector: Collector, records: list[bytes], known: bool = True) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.11" if known else "127.0.0.99", 0))
        for record in records:
            sender.sendto(record, ("127.0.0.1", collector.ports["udp"]))


def by_tcp(collector: Collector, records: list[bytes], known: bool = True) -> None:
    source = ("127.0.0.11" if known else "127.0.0.99", 0)
    try:
        with socket.create_connection(
            ("127.0.0.1", collector.ports["tcp"]), timeout=5, source_address=source
        ) as sender:
            sender.sendall(b"".join(b"%d %s" % (len(r), r) for r in records))
            sender.shutdown(socket.SHUT_WR)
            sender.settimeout(0.2)  # while the spool is full the end is not read either
            sender.recv(1)
    except TimeoutError:
        pass
    except OSError:  # closed in the middle
        assert not known


def by_http(collector: Collector, records: list[bytes], known: bool = True) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{collector.ports['http']}/ingest/q1-web",
        data=b"\n".join(records),
        headers={"Authorization": f"ApiKey {support.API_KEY}" if known else "ApiKey eDp5"},
    )
    try:
        urllib.request.urlopen(request, timeout=5).read()
    except urllib.error.HTTPError as error:
        if (known, error.code) not in {(False, 401), (True, 429)}:
            raise


def by_relp(collector: Collector, records: list[bytes], known: bool = True) -> None:
    client = RelpClient(collector.ports["relp"], "127.0.0.11" if known else "127.0.0.99")
    try:
        client.open()
        client.send(records)
        client.read(1)
        if not client.unacknowledged:
            client.close()
    except OSError:  # closed in the middle
        assert not known


def by_file(collector: Collector, records: list[bytes], known: bool = True) -> None:
    folder = Path(collector.settings.files[0].paths[0]).parent
    folder.mkdir(exist_ok=True)
    with (folder / "app.log").open("ab") as file:
        file.write(b"".join(record + b"\n" for record in records))


FILE = pytest.param("files", "q1-files", by_file, id="file_tail")
"""Has no unknown senders, and what it has not read at a stop it reads at the next start."""
CASES = [
    pytest.param("relp", "q1-fw", by_relp, id="relp"),
    pytest.param("udp", "q1-fw", by_udp, id="syslog_udp"),
    pytest.param("tcp", "q1-fw", by_tcp, id="syslog_tcp"),
    pytest.param("http", "q1-web", by_http, id="http_bulk"),
]
RECORDS = [
    b"<34>Nov 24 09:00:00 fw01 x: one",
    b"<34>1 \xff\x00\xc3\x28 not UTF-8",
    b"<13>" + "Đăng nhập thất bại".encode(),
    b"<34>" + b"y" * 9000,
    b"<34>Nov 24 09:00:00 fw01 x: one",
]


def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


@pytest.mark.parametrize(("name", "source", "send"), [*CASES, FILE])
def test_records_reach_the_spool_byte_for_byte_under_their_source(
    tmp_path: Path, name: str, source: str, send: Sender
) -> None:
    before = time.time_ns() // 1000
    with running(tmp_path) as collector:
        send(collector, RECORDS, True)
        until(lambda: len(spooled(tmp_path)) == len(RECORDS))
        until(lambda: tally(collector, name, source)["received"] == len(RECORDS))
    found = spooled(tmp_path)
    assert [record.body for record in found] == RECORDS
    assert {record.source for record in found} == {source}
    log = str(support.logs_of(tmp_path) / "app.log")
    assert {record.peer for record in found} <= {"127.0.0.1", "127.0.0.11", log}
    assert all(before <= record.received <= time.time_ns() // 1000 for record in found)
    counted = tally(collector, name, source)
    assert (counted["received"], counted["spooled"], counted["dropped"]) == (5, 5, {})
    assert counted["bytes"] >= sum(map(len, RECORDS))


@pytest.mark.parametrize(("name", "source", "send"), CASES)
def test_an_unknown_sender_is_refused_and_counted_as_a_knock(
    tmp_path: Path, name: str, source: str, send: Sender
) -> None:
    with running(tmp_path) as collector:
        send(collector, RECORDS, False)
        until(lambda: bool(collector.intake.knocks.snapshot()))
        time.sleep(0.05)
        (knock,) = collector.intake.knocks.snapshot()
    assert knock.receiver == name
    assert knock.address in {"127.0.0.99", "127.0.0.1"}
    assert knock.count == (5 if name == "udp" else 1)
    assert knock.first <= knock.last
    assert spooled(tmp_path) == []


@pytest.mark.parametrize(("name", "source", "send"), CASES)
def test_a_stop_stores_what_has_arrived_and_takes_less_than_two_seconds(
    tmp_path: Path, name: str, source: str, send: Sender
) -> None:
    with running(tmp_path) as collector:
        for _ in range(40):
            send(collector, [b"<1>" + str(time.monotonic_ns()).encode() for _ in range(50)], True)
        began = time.monotonic()
    assert time.monotonic() - began < 2.3
    assert len(spooled(tmp_path)) == 2000
    assert tally(collector, name, source)["spooled"] == 2000


@pytest.mark.parametrize(("name", "source", "send"), [*CASES, FILE])
def test_a_full_spool_pushes_back_by_the_means_of_the_transport_and_goes_on_after(
    tmp_path: Path, name: str, source: str, send: Sender
) -> None:
    with running(tmp_path) as collector:
        (tmp_path / PUSH_BACK_NAME).write_text("the disk's floor is reached")
        until(lambda: bool(collector.intake.push_back))
        send(collector, [b"<1>during"], True)
        time.sleep(0.3)
        assert spooled(tmp_path) == []
        (tmp_path / PUSH_BACK_NAME).unlink()
        until(lambda: not collector.intake.push_back)
        send(collector, [b"<1>after"], True)
        delivery = {r.name: r.delivery for r in collector.receivers}[name]
        waits = delivery is Delivery.PLAIN or name in {"relp", "files"}  # the record stays in hand
        expected = {b"<1>after"} | ({b"<1>during"} if waits else set())
        until(lambda: {r.body for r in spooled(tmp_path)} == expected)
        until(lambda: tally(collector, name, source)["received"] >= len(expected))  # type: ignore[operator]
        counted = tally(collector, name, source)
    if delivery is Delivery.BEST_EFFORT:
        assert counted["dropped"] == {"spool_full": 1}
    if delivery is Delivery.ACKNOWLEDGED and not waits:
        assert counted["notes"] == {"pushed_back": 1}
    assert counted["received"] == len(expected) + (delivery is Delivery.BEST_EFFORT)


@pytest.mark.parametrize(("name", "source", "send"), [*CASES, FILE])
def test_a_record_beyond_the_limit_is_cut_and_counted(
    tmp_path: Path, name: str, source: str, send: Sender
) -> None:
    settings = CollectSettings(node="n1", listeners=support.LISTENERS, max_record_bytes=1000)
    with running(tmp_path, settings) as collector:
        send(collector, [b"<1>" + b"z" * 5000, b"<1>next"], True)
        until(lambda: len(spooled(tmp_path)) == 2)
        until(lambda: tally(collector, name, source)["notes"] == {"cut": 1})
    assert [r.body for r in spooled(tmp_path)] == [b"<1>" + b"z" * 997, b"<1>next"]


def test_all_ports_that_are_in_use_are_named_together(tmp_path: Path) -> None:
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        udp.bind(("127.0.0.1", 0))
        taken = tuple(
            Listener(name=kind, kind=kind, port=sock.getsockname()[1])
            for kind, sock in (
                ("http_bulk", tcp),
                ("relp", tcp),
                ("syslog_tcp", tcp),
                ("syslog_udp", udp),
            )
        )
        with (
            pytest.raises(FaultsError) as caught,
            running(tmp_path, CollectSettings(node="n1", listeners=taken)),
        ):
            pass
    assert [fault.what for fault in caught.value.faults] == ["the port is in use"] * 4
    assert [fault.where for fault in caught.value.faults] == [
        "collect.listeners http_bulk",
        "collect.listeners relp",
        "collect.listeners syslog_tcp",
        "collect.listeners syslog_udp",
    ]
