"""What the console tells people to write into a sender, run by the real program: the lines come in and are read."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.collector import KEY_TEXT, directory, running, spooled
from support.rsyslog import available, rsyslog
from support.syslog_ng import syslog_ng

from pipeline.model.clock import to_micros, utc_now
from pipeline.normalise.product import load_products
from pipeline.sources.onboarding.doors import ADDRESS, KEY, Door
from pipeline.sources.onboarding.preview import READ, Preview, preview
from pipeline.sources.onboarding.snippets import snippet

LINE = (
    b"<38>Nov 24 09:00:00 web1 sshd[77]: Failed password for an from 203.0.113.9 port 51122 ssh2\n"
)
PRODUCT = load_products()["linux_auth"]
KINDS = {"http_bulk": "http", "relp": "relp", "syslog_tcp": "tcp", "syslog_udp": "udp"}


def door(kind: str, ports: dict[str, int]) -> Door:
    known_by = KEY if kind == "http_bulk" else ADDRESS
    return Door(
        name=KINDS[kind],
        kind=kind,
        host="127.0.0.1",
        port=ports[KINDS[kind]],
        tls=False,
        known_by=known_by,
    )


def arrived(root: Path, count: int, feed: Callable[[], None]) -> Preview:
    """What was spooled when `count` records are there, as events."""
    limit = time.monotonic() + 20
    feed()
    while len(spooled(root)) < count and time.monotonic() < limit:
        time.sleep(0.1)
    bodies = [record.body for record in spooled(root)]
    return preview(bodies, PRODUCT, received=to_micros(utc_now()))


def read(found: Preview) -> list[tuple[str, str, str, str]]:
    rows = [dict(one.fields) | {"outcome": one.outcome} for one in found.lines]
    names = ("outcome", "host.name", "user.name", "source.ip")
    return [tuple(str(row.get(name)) for name in names) for row in rows]  # type: ignore[misc]


EVENT = (READ, "web1", "an", "203.0.113.9")


@pytest.mark.parametrize("kind", ["http_bulk", "relp", "syslog_tcp", "syslog_udp"])
def test_rsyslog_sends_as_its_snippet_says(tmp_path: Path, kind: str) -> None:
    available()
    root = tmp_path / "spool"
    with running(root, known=directory(local=True)) as collector:
        text = snippet("rsyslog", door(kind, collector.ports), "q1-web", KEY_TEXT).text
        with rsyslog(tmp_path / "rsyslog", "", text) as into:
            assert read(arrived(root, 5, lambda: into.sendall(LINE * 5))) == [EVENT] * 5


@pytest.mark.parametrize("kind", ["http_bulk", "syslog_tcp", "syslog_udp"])
def test_syslog_ng_sends_as_its_snippet_says(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "spool"
    with running(root, known=directory(local=True)) as collector:
        text = snippet("syslog_ng", door(kind, collector.ports), "q1-web", KEY_TEXT).text
        with syslog_ng(tmp_path / "ng", "", rest=text.replace("s_src", "in")) as into:
            local = LINE.replace(
                b"web1 ", b""
            )  # a local socket's lines name no host: syslog-ng puts its own
            found = read(arrived(root, 5, lambda: into.sendall(local * 5)))
    assert [one[2:] for one in found] == [EVENT[2:]] * 5
    assert {one[:2] for one in found} == {(READ, socket.gethostname())}


def test_curl_sends_as_its_snippet_says(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    (tmp_path / "app.log").write_bytes(LINE * 5)
    with running(root, known=directory()) as collector:
        text = snippet("http", door("http_bulk", collector.ports), "q1-web", KEY_TEXT).text

        def feed() -> None:
            done = subprocess.run(
                ["bash", "-c", text], cwd=tmp_path, capture_output=True, check=False
            )
            assert done.returncode == 0, done
            assert json.loads(done.stdout)["accepted"] == 5

        assert read(arrived(root, 5, feed)) == [EVENT] * 5


@pytest.mark.parametrize("kind", ["syslog_tcp", "syslog_udp"])
def test_the_line_for_any_device_is_one_that_logger_can_say(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "spool"
    with running(root, known=directory(local=True)) as collector:
        text = snippet("syslog_device", door(kind, collector.ports), "q1-fw").text
        (command,) = [line[2:] for line in text.splitlines() if line.startswith("# ")]
        done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
        assert done.returncode == 0, done
        limit = time.monotonic() + 10
        while not spooled(root) and time.monotonic() < limit:
            time.sleep(0.1)
    assert spooled(root)[0].body.endswith(b"test")
