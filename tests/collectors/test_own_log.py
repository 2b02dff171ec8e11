"""The collector's own log: JSON a line, without a secret and without a word of what was sent."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from contract.test_receiver_contract import by_file, by_http, by_relp, by_tcp, by_udp, until
from support import collector as support
from support.collector import running, spooled

from collectors.collect import PUSH_BACK_NAME
from pipeline.serve.logs import log_to
from pipeline.settings.values import CollectSettings

MARK = "BÍ-MẬT-của-sự-kiện"
HOSTILE = [
    f'<13>{MARK} "}}\x1b[31m{{"level":"error","message":"{MARK}"}}'.encode(),
    MARK.encode("utf-16-le").replace(b"\n", b" "),
    f'{{"Authorization":"ApiKey {support.API_KEY}","m":"{MARK}"}}'.encode(),
    b"<13>" + MARK.encode() * 400,
]
SECRETS = (MARK, support.KEY[1], support.API_KEY, "stolen-secret")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """Where this process logs to, as `serve collect` does."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    folder = tmp_path / "run"
    folder.mkdir()
    log_to(folder, "collect")
    yield folder / "collect.log"
    for one in root.handlers:
        one.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def raw(port: int, sent: bytes, address: str = "127.0.0.11") -> None:
    with (
        contextlib.suppress(OSError),
        socket.create_connection(
            ("127.0.0.1", port), timeout=5, source_address=(address, 0)
        ) as one,
    ):
        one.sendall(sent)
        one.shutdown(socket.SHUT_WR)
        one.settimeout(1)
        while one.recv(4096):
            pass


def test_hostile_lines_and_keys_leave_no_trace_in_the_log(tmp_path: Path, log: Path) -> None:
    root = tmp_path / "spool"
    settings = CollectSettings(node="n1", listeners=support.LISTENERS, max_record_bytes=4000)
    logs = support.logs_of(root)
    logs.mkdir()
    (logs / f"{MARK[:3]}.log").symlink_to(
        "/etc/hostname"
    )  # is not followed: a trouble that is logged
    with running(root, replace(settings, files=(support.file_input(root),))) as collector:
        for send in (by_udp, by_tcp, by_relp, by_http, by_file):
            send(collector, HOSTILE, True)
            if send is not by_file:
                send(collector, HOSTILE, False)
        http, tcp, relp = (collector.ports[name] for name in ("http", "tcp", "relp"))
        auth = f"Authorization: ApiKey {support.API_KEY}\r\n"
        body = f'{{"create":{{}}}}\n{{"m":"{MARK}"\n{MARK}\n'.encode()
        head = f"POST /_bulk?{MARK[:2].encode().hex()} HTTP/1.1\r\nHost: x\r\n{auth}"
        raw(http, f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        raw(http, f"{head}Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\nstolen-se".encode())
        raw(http, b"GET / HTTP/1.1\r\nAuthorization: Bearer stolen-secret\r\n\x00bad head\r\n\r\n")
        raw(tcp, b"99999999999 " + HOSTILE[0])
        raw(relp, b"1 open 5 " + HOSTILE[0])
        (root / PUSH_BACK_NAME).write_text("the disk's floor is reached")
        until(lambda: bool(collector.intake.push_back))
        by_http(collector, HOSTILE, True)
        (root / PUSH_BACK_NAME).unlink()
        logging.getLogger("collectors").warning("%s", 'a "quoted"\nmessage\x1b[31m of our own')
    assert len(spooled(root)) > 15
    lines = log.read_text(encoding="utf-8").splitlines()
    said = [json.loads(line) for line in lines]
    assert {"collecting on", "quoted"} <= {
        word for word in ("collecting on", "quoted") for one in said if word in one["message"]
    }
    assert all({"time", "level", "role", "message"} <= set(one) for one in said)
    assert all(ord(char) >= 32 for line in lines for char in line)
    assert [secret for secret in SECRETS if secret in log.read_text(encoding="utf-8")] == []
