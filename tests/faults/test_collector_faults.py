"""A collector killed under its senders: each acknowledged request is stored once, also when resent."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.collector import API_KEY, spooled
from support.forks import Forked, forked

pytestmark = pytest.mark.faults
CYCLES = int(os.environ.get("KILLS", "10"))


@contextlib.contextmanager
def process(root: Path, *words: str) -> Iterator[tuple[Forked, dict[str, int]]]:
    """A collector (`support.collector_process`) and its ports."""
    with forked("collector_process", str(root), *words) as (started, line):
        yield started, {name: int(port) for name, port in (w.split("=") for w in line.split())}


def post(port: int, body: bytes) -> bool:
    """Whether the collector acknowledged it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/ingest/q1-web", body, {"Authorization": f"ApiKey {API_KEY}"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def test_killed_between_fsync_and_answer_a_resent_request_is_stored_once(tmp_path: Path) -> None:
    body = b"\n".join(b"line %d" % i for i in range(300))
    with process(tmp_path, "2") as (_, ports):
        assert post(ports["http"], b"before")
        assert not post(ports["http"], body)
    with process(tmp_path) as (_, ports):
        assert post(ports["http"], body)
        assert post(ports["http"], body)
        assert post(ports["http"], b"after")
    expected = [b"before", *body.split(b"\n"), b"after"]
    assert [record.body for record in spooled(tmp_path)] == expected


class _Sender(threading.Thread):
    """Sends numbered requests one after another; one that was not acknowledged is sent again as it was."""

    def __init__(self, name: str) -> None:
        super().__init__(daemon=True)
        self.label, self.port, self.done = name, 0, threading.Event()
        self.acknowledged: list[str] = []

    def run(self) -> None:
        chooser = random.Random(self.label)
        number = 0
        while not self.done.is_set():
            number += 1
            lines = [
                f"{self.label}-{number}-{i} {'x' * chooser.randrange(300)}"
                for i in range(chooser.choice([1, 3, 50]))
            ]
            body = "\n".join(lines).encode()
            while not (self.port and post(self.port, body)):
                time.sleep(0.01)
                if self.done.wait(0):
                    return
            self.acknowledged += [line.split()[0] for line in lines]


def test_killed_at_random_under_load_every_acknowledged_record_is_stored_once(
    tmp_path: Path,
) -> None:
    chooser = random.Random(5)
    senders = [_Sender(name) for name in "abcd"]
    for sender in senders:
        sender.start()
    for _ in range(CYCLES):
        with process(tmp_path) as (started, ports):
            for sender in senders:
                sender.port = ports["http"]
            time.sleep(chooser.uniform(0.05, 0.5))
            started.send_signal(signal.SIGKILL)
    with process(tmp_path) as (started, ports):
        for sender in senders:
            sender.port = ports["http"]
        time.sleep(0.3)
        for sender in senders:
            sender.done.set()
        for sender in senders:
            sender.join(15)
        started.send_signal(signal.SIGTERM)
        assert started.wait(5) == 0
    records = spooled(tmp_path)
    assert [record.sequence for record in records] == list(range(1, len(records) + 1))
    times = Counter(record.body.split()[0].decode() for record in records)
    acknowledged = [name for sender in senders for name in sender.acknowledged]
    assert len(acknowledged) > 100
    assert [name for name in acknowledged if times[name] != 1] == []
    assert max(times.values()) == 1


def test_a_sigterm_ends_within_two_seconds_with_all_that_tcp_had_taken(tmp_path: Path) -> None:
    with (
        process(tmp_path) as (started, ports),
        socket.create_connection(
            ("127.0.0.1", ports["tcp"]), source_address=("127.0.0.11", 0)
        ) as sender,
    ):
        sender.sendall(b"".join(b"<13>record %d\n" % i for i in range(20_000)))
        began = time.monotonic()
        started.send_signal(signal.SIGTERM)
        assert started.wait(5) == 0
        assert time.monotonic() - began < 2
    assert [r.body for r in spooled(tmp_path)] == [b"<13>record %d" % i for i in range(20_000)]
