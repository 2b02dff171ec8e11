"""Elastic's own bulk clients, three major versions of each, product check on: killed at, stored once.

Each is a small program as an agency would write it (`programs/`). The collector dies twice right after it
has stored a request and before it has answered, so that the client must send it again; in the end each
document that a client was told is stored is there once, and nothing is there twice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from faults.test_collector_faults import process
from faults.test_relp_faults import free_port
from support import unpacked
from support.collector import API_KEY, KEY, spooled

COUNT, PART = 4000, 200
_PROGRAMS = Path(__file__).parent / "programs"
_PY = {"7": "7.17.13", "8": "8.19.3", "9": "9.5.1"}
_JS = {"7": "7.17.14", "8": "8.19.1", "9": "9.2.0"}  # the newest that Debian's Node runs
_GO = {"7": "v7.17.10", "8": "v8.19.7", "9": "v9.5.2"}


def python(major: str) -> tuple[list[str], dict[str, str]]:
    folder = unpacked.pip(f"elasticsearch-{major}", f"elasticsearch=={_PY[major]}")
    return [sys.executable, str(_PROGRAMS / "bulk.py"), *KEY], {"PYTHONPATH": str(folder)}


def javascript(major: str) -> tuple[list[str], dict[str, str]]:
    folder = unpacked.npm(f"elasticsearch-{major}", f"@elastic/elasticsearch@{_JS[major]}")
    return ["node", str(_PROGRAMS / "bulk.js"), *KEY], {"NODE_PATH": str(folder / "node_modules")}


def go(major: str) -> tuple[list[str], dict[str, str]]:
    source = (_PROGRAMS / "bulk.go.txt").read_text().replace("{major}", major)
    module = f"github.com/elastic/go-elasticsearch/v{major}@{_GO[major]}"
    return [str(unpacked.go(f"elasticsearch-{major}", source, module) / "program"), API_KEY], {}


@pytest.mark.parametrize("major", ["7", "8", "9"])
@pytest.mark.parametrize("client", [python, javascript, go])
def test_a_bulk_client_is_cut_off_and_each_of_its_documents_is_stored_once(
    tmp_path: Path, client: object, major: str
) -> None:
    command, environment = client(major)  # type: ignore[operator]
    port, root = free_port(), tmp_path / "spool"
    at = 2 if client is not go else 1  # where the program's own arguments begin
    command[at:at] = [f"http://127.0.0.1:{port}"]
    with (tmp_path / "errors").open("w") as errors, subprocess.Popen(
        [*command, str(COUNT), str(PART), *(["gzip"] if major == "8" else [])],
        env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=errors, text=True,
    ) as sender:  # fmt: skip
        give_up = threading.Timer(60, sender.kill)
        give_up.start()
        try:
            for stores in ("3", "5"):
                with process(root, stores, f"http={port}") as (collector, _):
                    assert collector.wait(30) == -signal.SIGKILL
            with process(root, "0", f"http={port}"):
                said, _ = sender.communicate()
        finally:
            give_up.cancel()
            sender.kill()
    assert sender.returncode == 0, (tmp_path / "errors").read_text()[-2000:]
    assert [int(line) for line in said.split()] == list(range(PART - 1, COUNT, PART))
    found = Counter(record.body for record in spooled(root))
    assert found == Counter(b'{"message":"number %d"}' % n for n in range(COUNT))
