"""A network that delays, cuts, resets, goes silent and repeats: what was acknowledged is stored once."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import time
from collections import Counter
from pathlib import Path

import pytest
from faults.test_collector_faults import process
from support.collector import API_KEY, spooled
from support.fault_proxy import Plan, faulty
from support.relp import RelpClient
from support.serving import free_port

pytestmark = pytest.mark.faults
PLANS = [
    Plan("reset", 300), Plan("cut", 900), Plan(delay=0.02), Plan("half"), Plan("reset", 2500), Plan("cut", 50),
    Plan("reset", 1), Plan("half"), Plan("cut", 3000, 0.01), Plan("lost", 1500),
]  # fmt: skip


def test_relp_through_a_bad_network_stores_each_acknowledged_record_once(tmp_path: Path) -> None:
    port, root = free_port(), tmp_path / "spool"
    records = [b"<1>number %d" % n for n in range(600)]
    with process(root, "0", f"relp={port}"), faulty(port, PLANS) as proxy:
        client = RelpClient(proxy.port, "127.0.0.1")
        for first in range(0, 600, 60):
            with contextlib.suppress(OSError, AssertionError):
                if client._socket is None:
                    client.open()
                client.send(records[first : first + 60])
            deadline = time.monotonic() + 40
            while client.unacknowledged:
                assert time.monotonic() < deadline
                if client._socket is None or not client.read(1) or client.unacknowledged:
                    client.cut()
                    with contextlib.suppress(OSError):
                        client.open()
            client.cut()  # so that the next ones meet the next trouble
        assert proxy.connections > len(PLANS) // 2
    assert Counter(record.body for record in spooled(root)) == Counter(records)


def test_plain_tcp_through_a_bad_network_stores_what_arrived_once_in_order_and_marks_what_was_cut(
    tmp_path: Path,
) -> None:
    port, root = free_port(), tmp_path / "spool"
    sent: dict[int, list[bytes]] = {}
    with process(root, "0", f"tcp={port}") as (started, _), faulty(port, PLANS) as proxy:
        for number in range(len(PLANS) + 1):  # the last one meets no trouble
            sent[number] = [b"<1>%d number %d." % (number, n) for n in range(100)]
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", proxy.port), 5) as into,
            ):
                into.sendall(b"".join(one + b"\n" for one in sent[number]))
                into.shutdown(socket.SHUT_WR)
                into.settimeout(5)
                into.recv(1)  # until the proxy is done with it
        started.send_signal(signal.SIGTERM)
        assert started.wait(5) == 0
    stored = [one.body for one in spooled(root)]
    for number, plan in enumerate([*PLANS, Plan()]):
        of_it = [one for one in stored if one.startswith(b"<1>%d " % number)]
        whole = [one for one in of_it if one.endswith(b".")]
        assert whole == sent[number][: len(whole)], plan
        assert len(of_it) - len(whole) <= 1, plan  # the line in which it was cut
        if plan.what in {"", "half", "duplicate"}:
            assert len(whole) == 100, plan


@pytest.mark.parametrize("plan", [*PLANS, Plan("duplicate")], ids=str)
def test_a_request_through_a_bad_network_is_stored_once(tmp_path: Path, plan: Plan) -> None:
    port, root = free_port(), tmp_path / "spool"
    lines = [b"number %d" % n for n in range(300)]
    with process(root, "0", f"http={port}"), faulty(port, [plan]) as proxy:
        for _ in range(5):
            connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=2)
            try:
                connection.request(
                    "POST",
                    "/ingest/q1-web",
                    b"\n".join(lines),
                    {"Authorization": f"ApiKey {API_KEY}"},
                )
                if connection.getresponse().status == 200:
                    break
            except (OSError, http.client.HTTPException):
                continue
            finally:
                connection.close()
        else:
            raise AssertionError("never acknowledged")
        time.sleep(0.5 if plan.what == "duplicate" else 0.1)
    assert Counter(record.body for record in spooled(root)) == Counter(lines)
