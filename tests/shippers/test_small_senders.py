"""curl, util-linux's logger, and a real nginx that logs by syslog, unchanged."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from faults.test_collector_faults import process
from shippers.test_rsyslog import until_quiet
from support import needs, unpacked
from support.collector import API_KEY, spooled
from support.serving import free_port, until

_NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log syslog:server=127.0.0.1:{syslog},tag=nginx combined;
  client_body_temp_path {folder}/t; proxy_temp_path {folder}/t; fastcgi_temp_path {folder}/t;
  uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t;
  server {{ listen 127.0.0.1:{port}; location / {{ return 204; }} }}
}}
"""


def program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        needs.missing(name, f"apt-get install {package}")
    return found


@pytest.mark.parametrize("path", ["/ingest/q1-web", "/_bulk"])
def test_curl_is_cut_off_before_the_answer_and_sends_again(tmp_path: Path, path: str) -> None:
    curl, port, root = program("curl", "curl"), free_port(), tmp_path / "spool"
    lines = [f"number {n}" for n in range(500)]
    if path == "/_bulk":
        lines = [f'{{"create":{{}}}}\n{{"message":"{line}"}}' for line in lines]
    (tmp_path / "lines").write_text("\n".join(lines) + "\n")
    command = [
        curl, "-sS", "--fail", "-H", f"Authorization: ApiKey {API_KEY}", "--data-binary", f"@{tmp_path / 'lines'}",
        "--retry", "60", "--retry-all-errors", "--retry-delay", "1", f"http://127.0.0.1:{port}{path}",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sender:
        with process(root, "1", f"http={port}") as (collector, _):
            assert collector.wait(60) == -signal.SIGKILL
        with process(root, "0", f"http={port}"):
            said, _ = sender.communicate(timeout=60)
    assert (sender.returncode, "error" in said.replace('"errors":false', "")) == (0, False)
    assert until_quiet(root, 500, 5) == Counter(range(500))


@pytest.mark.parametrize(
    "how",
    [("-d", "--rfc3164"), ("-d", "--rfc5424"), ("-T", "--rfc5424"), ("-T", "--octet-count")],
    ids=" ".join,
)
def test_each_line_of_logger_is_a_record(tmp_path: Path, how: tuple[str, str]) -> None:
    logger, port, root = program("logger", "bsdutils"), free_port(), tmp_path / "spool"
    (tmp_path / "lines").write_text("".join(f"number {n}\n" for n in range(200)))
    with process(root, "0", f"tcp={port},udp={port}"):
        subprocess.run(
            [logger, "-n", "127.0.0.1", "-P", str(port), *how, "-f", tmp_path / "lines"], check=True
        )
        assert until_quiet(root, 200, 10) == Counter(range(200))


def test_nginx_logs_by_syslog_and_goes_on_when_the_collector_comes_again(tmp_path: Path) -> None:
    found, syslog, port, root = (
        unpacked.debian("nginx", "nginx"),
        free_port(),
        free_port(),
        tmp_path / "spool",
    )
    config = tmp_path / "nginx.conf"
    config.write_text(_NGINX.format(folder=tmp_path, syslog=syslog, port=port))
    with subprocess.Popen(
        [found / "usr/sbin/nginx", "-p", str(tmp_path), "-c", str(config), "-e", str(tmp_path / "error.log")],
        env={**os.environ, "LD_LIBRARY_PATH": str(found / unpacked.LIBRARIES)}, stderr=subprocess.PIPE,
    ) as nginx:  # fmt: skip
        try:
            for life in (0, 1):
                with process(root, "0", f"udp={syslog}") as (collector, _):
                    until(lambda: _asked(port, "up"), 20)
                    assert all(_asked(port, f"life{life}-{n}") for n in range(50))
                    time.sleep(0.3)
                    collector.send_signal(signal.SIGKILL)
        finally:
            nginx.terminate()
            nginx.wait(10)
    seen = Counter(re.findall(rb"GET /(life\d-\d+) ", b"\n".join(r.body for r in spooled(root))))
    assert seen == Counter(f"life{life}-{n}".encode() for life in (0, 1) for n in range(50))


def _asked(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
            return answer.status == 204  # type: ignore[no-any-return]
    except OSError:
        return False
