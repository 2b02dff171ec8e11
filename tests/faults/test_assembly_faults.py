"""A collector killed while it holds lines that wait for others: none is lost that was acknowledged, none comes twice."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from faults.test_collector_faults import process
from faults.test_relp_faults import Sender, free_port
from support.collector import spooled

pytestmark = pytest.mark.faults
CYCLES = int(os.environ.get("KILLS", "8"))
_SERIAL = re.compile(rb"123:(\d+)")


class _Audit(Sender):
    """Events of three lines, two at a time, their lines in turn."""

    def record(self, number: int) -> bytes:
        pair, place = divmod(number, 6)
        kind = (b"SYSCALL", b"CWD", b"EOE")[place // 2]
        serial = 2 * pair + place % 2
        return b"type=%s msg=audit(1795485600.123:%d): n=%d" % (kind, serial, number)


class _Texts(threading.Thread):
    """Texts of three lines by plain TCP; after a lost connection the next one."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port, self.sent, self.done = port, 0, threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            try:
                with socket.create_connection(
                    ("127.0.0.1", self.port), 5, source_address=("127.0.0.14", 0)
                ) as into:
                    while not self.done.is_set():
                        self.sent += 1
                        into.sendall(text(self.sent))
                        time.sleep(0.001)
            except OSError:
                time.sleep(0.01)


def text(number: int) -> bytes:
    return b"2026-11-24 09:00:00 text %d\n  at %d.a\n  at %d.b\n" % (number, number, number)


def test_killed_while_lines_wait_for_others_no_line_comes_twice_and_none_is_lost_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    chooser, relp, tcp = random.Random(17), free_port(), free_port()
    audit, texts = _Audit("audit", "127.0.0.13", relp), _Texts(tcp)
    audit.start()
    texts.start()
    ports = f"relp={relp},tcp={tcp}"
    for _ in range(CYCLES):
        with process(tmp_path, "0", ports) as (started, _):
            time.sleep(chooser.uniform(0.05, 0.5))
            started.send_signal(signal.SIGKILL)
    with process(tmp_path, "0", ports) as (started, _):
        audit.done.set()
        texts.done.set()
        audit.join(30)
        texts.join(10)
        started.send_signal(signal.SIGTERM)
        assert started.wait(5) == 0
    assert audit.failed is None
    found = spooled(tmp_path)
    by_relp = [one.body for one in found if one.source == "q1-audit"]
    assert Counter(line for body in by_relp for line in body.split(b"\n")) == Counter(
        audit.record(n) for n in range(audit.sent)
    )
    assert [body for body in by_relp if len(set(_SERIAL.findall(body))) != 1] == []
    by_tcp = [one.body for one in found if one.source == "q1-java"]
    numbers = [int(body.split(b"\n")[0].rsplit(b" ", 1)[1]) for body in by_tcp]
    assert len(set(numbers)) == len(numbers) > CYCLES
    assert [
        body for n, body in zip(numbers, by_tcp, strict=True) if not text(n).startswith(body)
    ] == []
