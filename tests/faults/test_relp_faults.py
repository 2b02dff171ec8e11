"""A collector killed under RELP clients: every acknowledged record is stored once, none doubled by a replay."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from faults.test_collector_faults import process
from support.collector import spooled
from support.relp import RelpClient

pytestmark = pytest.mark.faults
CYCLES = int(os.environ.get("KILLS", "10"))
WINDOW = 128


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Sender(threading.Thread):
    """Numbered records, a window of them at a time; a lost session is opened again."""

    def __init__(self, name: str, host: str, port: int) -> None:
        super().__init__(daemon=True)
        self.label, self.client, self.done = name, RelpClient(port, host), threading.Event()
        self.sent = 0
        self.failed: BaseException | None = None

    def record(self, number: int) -> bytes:
        return b"<1>%s-%d" % (self.label.encode(), number)

    def run(self) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 - told to the test
            self.failed = error

    def _run(self) -> None:
        chooser = random.Random(self.label)
        client = self.client
        while not self.done.is_set():
            count = min(WINDOW - len(client.unacknowledged), chooser.choice([1, 5, 60]))
            records = [self.record(self.sent + i) for i in range(count)]
            try:
                if client._socket is None:
                    client.open()
                if not client.read() or (count == 0 and not client.read(0.05)):
                    client.cut()
                    continue
                self.sent += count  # the client keeps them, even if the connection is gone
                client.send(records)
            except OSError:
                client.cut()
                time.sleep(0.01)
        client.settle(20)


def test_killed_at_random_every_acknowledged_record_of_relp_is_stored_once(tmp_path: Path) -> None:
    chooser, port = random.Random(11), free_port()
    senders = [Sender("a", "127.0.0.11", port), Sender("b", "127.0.0.12", port)]
    for sender in senders:
        sender.start()
    for _ in range(CYCLES):
        with process(tmp_path, "0", f"relp={port}") as (started, _):
            time.sleep(chooser.uniform(0.05, 0.5))
            started.send_signal(signal.SIGKILL)
    with process(tmp_path, "0", f"relp={port}") as (started, _):
        for sender in senders:
            sender.done.set()
        for sender in senders:
            sender.join(30)
        started.send_signal(signal.SIGTERM)
        assert started.wait(5) == 0
    assert [sender.failed for sender in senders] == [None, None]
    times = Counter(record.body for record in spooled(tmp_path))
    expected = {b"<1>%s-%d" % (s.label.encode(), n) for s in senders for n in range(s.sent)}
    assert len(expected) > 1000
    assert {body: n for body, n in times.items() if n != 1} == {}
    assert set(times) == expected
