"""Listener groups under the supervisor: one hangs and is killed, and another goes on; each has its own sequences."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import requests
from support.collector import spooled
from support.serving import free_port, until

from pipeline.detect.reads.outages import outages
from pipeline.model.clock import utc_now
from pipeline.model.scope import OPERATOR
from pipeline.serve import collecting, supervisor
from pipeline.serve.installation import open_home
from pipeline.serve.metrics import metrics
from pipeline.sources.register import add_agency, add_source


def test_a_group_that_hangs_and_falls_stops_no_other(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(supervisor, "ROLES", ("collect",))
    home, http, tcp = tmp_path / "home", free_port(), free_port()
    home.mkdir()
    (home / "thapcanh.yml").write_text(
        "collect:\n  listeners:\n"
        f"    - {{name: http, kind: http_bulk, port: {http}}}\n"
        f"    - {{name: tcp, kind: syslog_tcp, port: {tcp}, group: syslog}}\n"
    )
    here = open_home(home)
    add_agency(here.state, OPERATOR, agency="q1", name_vi="Quận 1", name_en="D1", now=utc_now())
    _, key = (
        add_source(
            here.state, OPERATOR, source=name, agency="q1", product="nginx", known_products=("nginx",),
            addresses=addresses, with_key=not addresses, now=utc_now(),
        ).key
        for name, addresses in (("q1-fw", [("tcp", "127.0.0.1/32")]), ("q1-web", []))
    )  # fmt: skip

    def sent_by_http(text: str) -> bool:
        headers = {"Authorization": f"Bearer {key}"}
        try:
            url = f"http://127.0.0.1:{http}/ingest/q1-web"
            return requests.post(url, data=text, headers=headers, timeout=5).ok
        except requests.ConnectionError:
            return False

    def sent_by_tcp(text: bytes) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", tcp), 5) as sender:
                sender.sendall(text)
        except OSError:
            return False
        return True

    def counted(records: int) -> bool:
        labels = 'agency="q1",source="q1-fw",node="collect-1.syslog"'
        line = f"thapcanh_source_received_total{{{labels}}} {records}"
        return line in metrics(here.state, now=utc_now()).splitlines()

    watched, stop = supervisor.Supervisor(here), threading.Event()
    turning = threading.Thread(target=watched.run, args=(stop,))
    turning.start()
    try:
        until(lambda: sent_by_http("one"), 60)
        until(lambda: sent_by_tcp(b"<1>one\n"), 60)
        until(lambda: len(spooled(here.settings.spool, "collect-1.syslog")) == 1, 20)
        until(lambda: counted(1), 20)
        fallen = watched.pids()["collect.syslog"]
        other = watched.pids()["collect"]
        os.kill(fallen, signal.SIGSTOP)
        assert sent_by_http("while the other hangs")
        os.kill(fallen, signal.SIGKILL)
        assert sent_by_http("while the other is away")
        until(lambda: watched.pids().get("collect.syslog", fallen) != fallen, 20)
        until(lambda: sent_by_tcp(b"<1>two\n"), 60)
        until(lambda: len(spooled(here.settings.spool, "collect-1.syslog")) == 2, 20)
        assert (watched.pids()["collect"], other != fallen) == (other, True)
        until(lambda: counted(2), 20)
    finally:
        stop.set()
        turning.join()
    said = metrics(here.state, now=utc_now())
    nodes, gaps = collecting.nodes(here.state), outages(here.state, OPERATOR)
    here.close()
    assert 'thapcanh_spool_lag_records{node="collect-1"} 3' in said
    assert 'thapcanh_spool_lag_records{node="collect-1.syslog"} 2' in said
    found = {
        node: [(one.sequence, one.body) for one in spooled(home / "spool", node)]
        for node in ("collect-1", "collect-1.syslog")
    }
    assert found == {
        "collect-1": [(1, b"one"), (2, b"while the other hangs"), (3, b"while the other is away")],
        "collect-1.syslog": [(1, b"<1>one"), (2, b"<1>two")],
    }
    assert [(one.node, one.spooled, one.ports) for one in nodes] == [
        ("collect-1", 3, {"http": http}),
        ("collect-1.syslog", 2, {"tcp": tcp}),
    ]
    assert [(one.source, one.node, one.cause) for one in gaps] == [
        ("q1-fw", "collect-1.syslog", "killed")
    ]
