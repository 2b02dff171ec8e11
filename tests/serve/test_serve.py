"""The roles under their supervisor: a record on a socket becomes a ticket, whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.cli_words import EVENT, RULE
from support.serving import free_port, until

from pipeline.model.clock import utc_now
from pipeline.model.errors import UsageError
from pipeline.serve.health import health_endpoint
from pipeline.serve.installation import open_home
from pipeline.serve.pulse import RoleHealth, read_pulses
from pipeline.serve.supervisor import ROLES
from pipeline.state.tables.register import SourceSeen


class Server:
    def __init__(self, home: Path) -> None:
        self.home, self.http, self.health = home, free_port(), free_port()
        home.mkdir()
        (home / "thapcanh.yml").write_text(
            f"collect:\n  listeners:\n    - {{name: http, kind: http_bulk, port: {self.http}}}\n"
            f"detect: {{interval: 0.5}}\nserve: {{health_port: {self.health}}}\n"
        )

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli.main", "serve", "--home", str(self.home)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def say(self, *words: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.cli.main", *words, "--home", str(self.home), "--json"],
            capture_output=True, check=True,
        )  # fmt: skip
        return dict(json.loads(done.stdout)) if done.stdout else {}

    def send(self, key: str, line: bytes) -> bool:
        try:
            answer = requests.post(
                f"http://127.0.0.1:{self.http}/ingest/p1-win", data=line, timeout=5,
                headers={"Authorization": f"Bearer {key}"},
            )  # fmt: skip
        except requests.ConnectionError:
            return False
        return answer.ok


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "home")
    made.start()
    yield made
    made.process.terminate()
    made.process.wait(10)


def test_a_line_becomes_one_ticket_though_every_role_is_killed_on_the_way(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "rule.yml").write_bytes(RULE)
    until(lambda: (server.home / "state.sqlite").exists())
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pipeline.cli.main",
            "agency",
            "add",
            "p1",
            "--name",
            "P1",
            "--home",
            str(server.home),
        ],
        check=True,
    )
    key = server.say("source", "add", "p1-win", "--agency", "p1", "--product", "windows")["key"]
    server.say("rules", "import", str(tmp_path / "rule.yml"), "--name", "test")
    here = open_home(server.home)

    def pids() -> dict[str, int]:
        with here.state.read() as session:
            from pipeline.state.tables.operation import Pulse

            return {row.role: row.pid for row in session.query(Pulse)}

    until(lambda: set(pids()) == set(ROLES))
    lines = [json.dumps(EVENT | {"Number": n}).encode() for n in range(6)]
    for line in lines:
        until(lambda line=line: server.send(key, line))  # type: ignore[misc]
        for role in ("normalise", "detect", "tickets"):
            try:
                os.kill(pids()[role], signal.SIGKILL)
            except ProcessLookupError:
                continue
    # The roles fell many times, and wait longer before each start.
    until(lambda: [t["events"] for t in server.say("ticket", "list")["items"]] == [6], 150)
    with here.state.read() as session:
        seen = session.query(SourceSeen).filter_by(node="collect-1").one()
    assert (seen.source, seen.node, seen.last_received is not None) == ("p1-win", "collect-1", True)
    ticket = server.say("ticket", "show", "1")
    assert sorted(d["event"]["original"].encode() for d in ticket["documents"].values()) == sorted(
        lines
    )


def test_health_is_well_and_ctrl_c_ends_all_within_its_time(server: Server) -> None:
    url = f"http://127.0.0.1:{server.health}/health"

    def health() -> requests.Response | None:
        try:
            return requests.get(url, timeout=5)
        except requests.ConnectionError:
            return None

    assert until(health).json() == {"status": "ok", "troubles": []}
    until(lambda: (server.home / "run" / "tickets.lock").exists())
    begun = time.monotonic()
    server.process.send_signal(signal.SIGINT)
    assert (server.process.wait(10), time.monotonic() - begun < 6) == (0, True)


def test_the_health_endpoint_answers_503_and_names_the_role_and_the_reason() -> None:
    stuck = RoleHealth("detect", "", "7 waiting and no progress for 90 s", 7, utc_now())
    with health_endpoint("127.0.0.1", 0, lambda: [stuck]) as port:
        answer = requests.get(f"http://127.0.0.1:{port}/health", timeout=5)
    trouble = {"role": "detect", "node": "", "reason": stuck.reason}
    assert (answer.status_code, answer.json()) == (503, {"status": "stuck", "troubles": [trouble]})


def test_a_health_port_that_is_in_use_is_named_with_its_setting() -> None:
    with (
        health_endpoint("127.0.0.1", 0, list) as port,
        pytest.raises(UsageError) as told,
        health_endpoint("127.0.0.1", port, list),
    ):
        pass
    assert (told.value.where, told.value.got.split(": ")[0]) == (
        "serve.health_port",
        f"127.0.0.1:{port}",
    )


def test_a_second_supervisor_of_one_home_is_refused(server: Server) -> None:
    until(lambda: (server.home / "run" / "supervisor.lock").exists())
    time.sleep(0.5)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli.main", "serve", "--home", str(server.home)],
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, b"is at work already" in done.stderr) == (2, True)


def test_a_role_without_progress_while_work_waits_is_stuck(tmp_path: Path) -> None:
    from datetime import timedelta

    from pipeline.state.tables.operation import Pulse

    here, now = open_home(tmp_path / "home"), utc_now()
    old = now - timedelta(seconds=90)
    with here.state.begin() as session:
        session.add(
            Pulse(role="detect", node="", pid=1, started=old, beat=now, progress=old, waiting=7)
        )
        session.add(
            Pulse(role="tickets", node="", pid=1, started=old, beat=now, progress=old, waiting=0)
        )
        session.add(
            Pulse(role="collect", node="", pid=1, started=old, beat=old, progress=old, waiting=0)
        )
    found = {h.role: h.reason for h in read_pulses(here.state, now=now, stuck_after=60)}
    assert found == {
        "collect": "no sign of life for 90 s",
        "detect": "7 waiting and no progress for 90 s",
        "tickets": "",
    }
