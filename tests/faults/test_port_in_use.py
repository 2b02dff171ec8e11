"""A port in use under the supervisor: told and waited for with growing pauses, the other roles at work;
and a line of more than a megabyte by every transport."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from support.collector import API_KEY, running, spooled, tally
from support.serving import free_port, until

pytestmark = pytest.mark.faults
LIMIT = 1 << 20


def test_a_taken_port_is_told_by_health_tried_with_pauses_and_taken_when_it_is_free(
    tmp_path: Path,
) -> None:
    home, health = tmp_path / "home", free_port()
    home.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (home / "thapcanh.yml").write_text(
            f"collect:\n  listeners:\n    - {{name: web, kind: http_bulk, port: {port}}}\n"
            f"console: {{port: {free_port()}}}\nserve: {{health_port: {health}}}\n"
        )
        with (tmp_path / "said").open("wb") as said:
            server = subprocess.Popen(
                [sys.executable, "-m", "pipeline.cli.main", "serve", "--home", str(home)],
                stdout=subprocess.DEVNULL, stderr=said,
            )  # fmt: skip

        def told() -> list[str]:
            try:
                answer = requests.get(f"http://127.0.0.1:{health}/health", timeout=5).json()
            except requests.ConnectionError:
                return []
            return [f"{one['role']}: {one['reason']}" for one in answer["troubles"]]

        try:
            until(lambda: told() == ["collect: not running (exit 2)"], 60)
            time.sleep(3)
            words = (tmp_path / "said").read_text()
            assert 3 <= words.count("the port is in use (at collect.listeners web") <= 8
            assert "Change the setting, or stop what uses it" in words
            assert "Traceback" not in words
            taken.close()
            until(lambda: requests_answer(port), 60)
            until(lambda: not told())
        finally:
            server.terminate()
            server.wait(15)


def requests_answer(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/", timeout=5).status_code == 401
    except requests.ConnectionError:
        return False


def test_a_line_of_more_than_a_megabyte_is_cut_and_counted_and_the_next_is_whole(
    tmp_path: Path,
) -> None:
    line = b"<13>" + b"x" * (LIMIT + 50_000)
    with running(tmp_path) as collector:
        with socket.create_connection(
            ("127.0.0.1", collector.ports["tcp"]), source_address=("127.0.0.11", 0)
        ) as sender:
            sender.sendall(line + b"\n<13>next by tcp\n")
            until(lambda: len(spooled(tmp_path)) == 2)
        answer = requests.post(
            f"http://127.0.0.1:{collector.ports['http']}/ingest/q1-web",
            data=line + b"\nnext by http", headers={"Authorization": f"ApiKey {API_KEY}"}, timeout=10,
        )  # fmt: skip
        assert answer.json() == {"source": "q1-web", "accepted": 2}
        notes = [tally(collector, *who)["notes"] for who in (("tcp", "q1-fw"), ("http", "q1-web"))]
    bodies = [record.body for record in spooled(tmp_path)]
    assert bodies == [line[:LIMIT], b"<13>next by tcp", line[:LIMIT], b"next by http"]
    assert notes == [{"cut": 1}, {"cut": 1}]
