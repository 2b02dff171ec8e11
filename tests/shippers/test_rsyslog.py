"""A real rsyslog, unchanged: what it is told is stored is stored once, also when the collector is killed."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from faults.test_collector_faults import process
from faults.test_relp_faults import free_port
from support.collector import KEY, spooled
from support.rsyslog import available, rsyslog

MESSAGES = 12_000
_RETRY = 'action.resumeRetryCount="-1" action.resumeInterval="1"'
_NUMBER = re.compile(rb"number (\d+)")
ACTIONS = {
    "relp": (
        'module(load="omrelp")',
        'action(type="omrelp" template="whole" target="127.0.0.1" port="{port}" timeout="5" ' + _RETRY + ")",
    ),
    "http": (
        'module(load="omelasticsearch")',
        'action(type="omelasticsearch" template="json" server="http://127.0.0.1" serverport="{port}" '
        'searchIndex="logs" searchType="" bulkmode="on" '
        f'uid="{KEY[0]}" pwd="{KEY[1]}" ' + _RETRY + ")",
    ),
    "tcp": (
        "",
        'action(type="omfwd" template="whole" target="127.0.0.1" port="{port}" protocol="tcp" '
        'tcp_framing="octet-counted" ' + _RETRY + ")",
    ),
    "udp": (
        "",
        'action(type="omfwd" template="whole" target="127.0.0.1" port="{port}" protocol="udp")',
    ),
}  # fmt: skip


def numbers(root: Path) -> Counter[int]:
    found = (_NUMBER.search(record.body) for record in spooled(root))
    return Counter(int(match[1]) for match in found if match)


def feed(into: object, count: int, pause: float) -> None:
    for first in range(0, count, 100):
        lines = b"".join(
            b"<13>Nov 24 09:00:00 fw01 app: number %d\n" % n for n in range(first, first + 100)
        )
        into.sendall(lines)  # type: ignore[attr-defined]
        time.sleep(pause)


def until_quiet(root: Path, enough: int, seconds: float = 30) -> Counter[int]:
    """What is stored when `enough` numbers are, or nothing more comes."""
    deadline = time.monotonic() + seconds
    while len(found := numbers(root)) < enough and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(0.5)
    return numbers(root) if found else found


@pytest.mark.parametrize("name", ["relp", "http", "tcp", "udp"])
def test_each_message_is_stored_once(tmp_path: Path, name: str) -> None:
    available()
    port, root = free_port(), tmp_path / "spool"
    modules, action = ACTIONS[name]
    with (
        process(root, "0", f"{name}={port}"),
        rsyslog(tmp_path / "rsyslog", modules, action.format(port=port)) as into,
    ):
        feed(into, 2000, 0.005)
        found = until_quiet(root, 2000, 15)
    assert found == Counter(range(2000))


@pytest.mark.parametrize("name", ["relp", "http", "tcp"])
def test_killed_in_the_middle_and_started_again(tmp_path: Path, name: str) -> None:
    available()
    port, root = free_port(), tmp_path / "spool"
    modules, action = ACTIONS[name]
    with rsyslog(tmp_path / "rsyslog", modules, action.format(port=port)) as into:
        feeder = threading.Thread(target=feed, args=(into, MESSAGES, 0.02), daemon=True)
        feeder.start()
        for _ in range(2):
            with process(root, "0", f"{name}={port}") as (started, _):
                time.sleep(0.8)
                started.send_signal(signal.SIGKILL)
        with process(root, "0", f"{name}={port}"):
            feeder.join()
            found = until_quiet(root, MESSAGES, 20 if name != "tcp" else 6)
    if name == "tcp":  # what the socket buffers held is lost, at most; nothing comes twice
        assert MESSAGES - len(found) < 10_000
        assert max(found.values()) <= 2
    else:
        assert found == Counter(range(MESSAGES))
