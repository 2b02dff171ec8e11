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
from support.certificates import Authority
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


TLS = {
    "relp": (
        'module(load="omrelp" tls.tlslib="openssl")',
        'action(type="omrelp" template="whole" target="localhost" port="{port}" timeout="5" tls="on" '
        'tls.cacert="{ca}" tls.mycert="{mine}" tls.myprivkey="{key}" tls.authmode="name" '
        'tls.permittedpeer=["localhost"] ' + _RETRY + ")",
    ),
    "tcp": (
        "",
        'action(type="omfwd" template="whole" target="localhost" port="{port}" protocol="tcp" '
        'tcp_framing="octet-counted" streamdriver="ossl" streamdrivermode="1" streamdriverauthmode="x509/name" '
        'streamdriverpermittedpeers="localhost" streamdriver.cafile="{ca}" streamdriver.certfile="{mine}" '
        'streamdriver.keyfile="{key}" ' + _RETRY + ")",
    ),
}  # fmt: skip


def numbers(root: Path) -> Counter[int]:
    found = (_NUMBER.search(record.body) for record in spooled(root))
    return Counter(int(match[1]) for match in found if match)


def feed(into: object, count: int, pause: float, *, first: int = 0) -> None:
    for begin in range(first, first + count, 100):
        lines = b"".join(
            b"<13>Nov 24 09:00:00 fw01 app: number %d\n" % n for n in range(begin, begin + 100)
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


def socket_buffers() -> int:
    """Bytes that the kernel holds of a connection between a sender and a reader who keeps up: its defaults."""
    files = (Path("/proc/sys/net/ipv4/tcp_wmem"), Path("/proc/sys/net/ipv4/tcp_rmem"))
    return sum(int(file.read_text().split()[1]) for file in files)


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
        assert MESSAGES - len(found) <= 2 * socket_buffers() // len(
            "<13>Nov 24 09:00:00 fw01 app: number 0"
        )
        assert max(found.values()) <= 2
    else:
        assert found == Counter(range(MESSAGES))


@pytest.mark.parametrize("name", ["relp", "tcp"])
def test_over_tls_the_certificate_is_the_source_and_a_cut_off_sender_goes_on(
    tmp_path: Path, name: str
) -> None:
    available()
    port, root = free_port(), tmp_path / "spool"
    authority = Authority(tmp_path / "tls")
    authority.issue("localhost")
    mine = authority.issue("sender.q1.example")
    modules, action = TLS[name]
    said = action.format(port=port, ca=authority.certificate, mine=mine.certificate, key=mine.key)
    lost = (
        0 if name == "relp" else 200
    )  # plain: what rsyslog writes at once into a connection that is dead
    with rsyslog(tmp_path / "rsyslog", modules, said) as into:
        for first in (0, 2000):
            with process(root, "0", f"{name}={port}", str(tmp_path / "tls")) as (started, _):
                feed(into, 2000, 0.005, first=first)
                found = until_quiet(root, 2000 if not first else 4000 - lost, 30)
                started.send_signal(signal.SIGKILL)
    if name == "relp":
        assert found == Counter(range(4000))
    else:
        assert set(range(2000)) <= set(found)
        assert len(found) >= 4000 - lost
        assert max(found.values()) == 1
    assert {record.source for record in spooled(root)} == {"q1-web"}
