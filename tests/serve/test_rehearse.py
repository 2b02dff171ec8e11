"""The drill over real sockets: every ticket that its script demands, and no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.serving import free_port, until


def test_a_small_day_makes_the_tickets_of_its_script_and_goes_on_when_asked_again(
    tmp_path: Path,
) -> None:
    home, http, syslog, health = tmp_path / "home", free_port(), free_port(), free_port()
    home.mkdir()
    (home / "thapcanh.yml").write_text(
        "collect:\n  listeners:\n"
        f"    - {{name: http, kind: http_bulk, port: {http}}}\n"
        f"    - {{name: syslog-tcp, kind: syslog_tcp, port: {syslog}}}\n"
        f"    - {{name: syslog-udp, kind: syslog_udp, port: {syslog}}}\n"
        f"detect: {{interval: 0.5}}\nserve: {{health_port: {health}}}\n"
    )
    say = [sys.executable, "-m", "pipeline.cli.main"]
    server = subprocess.Popen([*say, "serve", "--home", str(home)], stdout=subprocess.DEVNULL)
    try:
        until(lambda: (home / "run" / "collect.lock").exists())
        play = [*say, "rehearse", "--home", str(home), "--seconds", "5"]
        first = subprocess.run(
            [*play, "--seed", "7", "--start", "2026-11-23T00:00:00+07:00", "--records", "800"],
            capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip
        again = subprocess.run(play, capture_output=True, text=True, check=False, timeout=200)
    finally:
        server.terminate()
        server.wait(10)
    said = "the tickets are those that the script demands"
    assert (first.returncode, said in first.stdout, first.stderr) == (0, True, first.stderr)
    assert (again.returncode, said in again.stdout, again.stderr) == (0, True, again.stderr)
