"""The drill over real sockets, as `make run` plays it and as `rehearse` does: its tickets, and no others."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path
from typing import IO

import requests
from support.drill_home import DrillHome
from support.serving import until

SCRIPT = ("--seed", "7", "--start", "2026-11-23T00:00:00+07:00", "--records", "800")
SAID = "the tickets are those that the script demands"


def lines_of(out: IO[str] | None, count: int) -> list[str]:
    assert out is not None
    return [out.readline().strip() for _ in range(count)]


def press(link: str) -> int:
    """Opens the link twice, which spends nothing, and presses its button; what the page behind it answers."""
    with requests.Session() as visitor:
        visitor.get(link, timeout=10)
        seal = re.search(r'name="seal" value="([^"]+)"', visitor.get(link, timeout=10).text)
        assert seal is not None
        origin = {"Origin": link.partition("/link/")[0]}
        done = visitor.post(link, data={"seal": seal[1]}, headers=origin, timeout=10)
        assert (done.status_code == 403) or done.url.endswith("/tickets"), done.url
        return done.status_code


def test_a_small_day_makes_its_tickets_goes_on_when_asked_again_and_is_taken_away(
    tmp_path: Path,
) -> None:
    at = DrillHome(tmp_path / "home")
    server = at.start("serve")
    try:
        until(lambda: (at.home / "run" / "collect.lock").exists())
        first = at.say("rehearse", *SCRIPT, "--seconds", "5")
        again = at.say("rehearse", "--seconds", "5")
        other = at.say("rehearse", "--seed", "8")
        busy = at.say("rehearse", "--clean")
    finally:
        server.terminate()
        server.wait(10)
    assert (first.returncode, SAID in first.stdout) == (0, True), first.stderr
    assert (again.returncode, SAID in again.stdout, again.stderr) == (0, True, "")
    assert (other.returncode, "another rehearsal is on this stage" in other.stderr) == (2, True)
    assert (busy.returncode, "stop it first" in busy.stderr) == (2, True)
    assert at.say("rehearse", "--clean").returncode == 0
    for what in ("ticket", "agency", "source"):
        left = at.say(what, "list", "--json").stdout
        assert "dt-" not in left, left
    assert at.say("rehearse", "--clean").returncode == 0


def test_make_runs_server_prints_the_console_and_a_way_in_and_goes_on_the_second_time(
    tmp_path: Path,
) -> None:
    at = DrillHome(tmp_path / "home")
    links = []
    for _ in range(2):
        server = at.start("serve", "--rehearsal", out=subprocess.PIPE)
        try:
            address, link, health = lines_of(server.stdout, 3)
            assert (address, health) == (
                f"http://127.0.0.1:{at.console}",
                f"health: http://127.0.0.1:{at.health}/health",
            )
            assert re.fullmatch(rf"{address}/link/[\w-]{{43}}", link)
            visitor = requests.get(address, timeout=10)
            assert (visitor.status_code, "/sign-in" in visitor.text) == (200, True)
            links.append(link)
            until(lambda: '"number"' in at.say("ticket", "list", "--json").stdout, 60)
            assert [press(link) for _ in range(2)] == [200, 403]
        finally:
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 0  # 3 to 5 s on a quiet machine
    assert links[0] != links[1]
