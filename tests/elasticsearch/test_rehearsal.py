"""The drill over real sockets with a real node as the store: the tickets that the lake gives, and no others."""

from __future__ import annotations

from pathlib import Path

from support.drill_home import DrillHome
from support.elasticsearch import empty_store
from support.serving import until

from pipeline.state.state import State

SCRIPT = ("--seed", "7", "--start", "2026-11-23T00:00:00+07:00", "--records", "800")
SAID = "the tickets are those that the script demands"


def test_a_small_day_on_elasticsearch_makes_the_same_tickets_and_is_taken_away(
    tmp_path: Path, elasticsearch_url: str
) -> None:
    scratch = State.at(tmp_path / "scratch.sqlite")
    empty_store(elasticsearch_url, scratch).close()
    scratch.close()
    at = DrillHome(tmp_path / "home")
    with (at.home / "thapcanh.yml").open("a") as settings:
        settings.write(
            f"store: {{kind: elasticsearch, elasticsearch: {{hosts: ['{elasticsearch_url}']}}}}\n"
        )
    server = at.start("serve")
    try:
        until(lambda: (at.home / "run" / "collect.lock").exists())
        played = at.say("rehearse", *SCRIPT, "--seconds", "5")
    finally:
        server.terminate()
        server.wait(10)
    assert (played.returncode, SAID in played.stdout) == (0, True), played.stderr
    assert list((at.home / "lake").rglob("*.parquet")) == []
    assert (
        '"count": 0'
        not in at.say("event", "search", "", "--since", "0", "--count", "--json").stdout
    )
    assert at.say("rehearse", "--clean").returncode == 0
    assert '"count": 0' in at.say("event", "search", "", "--since", "0", "--count", "--json").stdout
