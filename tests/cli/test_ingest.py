"""A file through the whole way on the embedded store: once, however often it is sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.cli_words import EVENT, RULE
from support.terminal import Terminal


def in_a_process(home: Path, *words: str | Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli.main", *map(str, words), "--json"],
        capture_output=True, text=True, check=False, env=os.environ | {"THAPCANH_HOME": str(home)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def home(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    """With an agency and a source of Windows events; its clock is the machine's."""
    made = Terminal(tmp_path / "home", capsys, monkeypatch)
    assert made.say("agency add p1 --name 'Phường Một'").code == 0
    assert made.say("source add p1-win --agency p1 --product windows").code == 0
    return made


def answer(home: Terminal, *words: str | Path) -> Any:
    return home.say("", *words, "--json").json


def test_a_file_sent_twice_makes_each_event_and_ticket_once(tmp_path: Path, home: Terminal) -> None:
    rules, log = tmp_path / "rules", tmp_path / "events.json"
    rules.mkdir()
    (rules / "rule.yml").write_bytes(RULE)
    quiet = EVENT | {"Image": "C:\\Windows\\notepad.exe"}
    log.write_text(
        "\n".join(json.dumps(one) for one in (EVENT, quiet, EVENT, {"x": 1})) + "\n\nnot json\n"
    )
    assert answer(home, "rules", "import", rules, "--name", "test")["added"] == 1

    first = answer(home, "ingest", log, "--source", "p1-win")
    tickets = answer(home, "ticket", "list")["items"]
    again = answer(home, "ingest", log, "--source", "p1-win")

    counts = ("records", "skipped", "stored", "known", "refused", "dropped")
    assert [first[name] for name in counts] == [6, 0, 5, 0, 0, 1]
    assert [again[name] for name in counts] == [0, 6, 0, 0, 0, 0]
    assert [
        (t["title"], t["agency"], t["entity"], t["events"], t["severity"]) for t in tickets
    ] == [("A test rule", "p1", "PC1", 2, "high")]
    assert answer(home, "ticket", "list")["items"] == tickets

    shown = answer(home, "ticket", "show", "1")
    originals = {d["event"]["original"] for d in shown["documents"].values()}
    assert originals == {json.dumps(EVENT)}
    claimed = answer(home, "ticket", "claim", "1")
    assert (claimed["status"], claimed["owner"]) == ("claimed", "operator:home")
    refused = home.say("ticket close 1 --reason because --note x")
    assert (refused.code, "no such closing reason" in refused.err) == (2, True)
    closed = answer(
        home, "ticket", "close", "1", "--reason", "benign_true_positive", "--note", "thử"
    )
    assert closed["status"] == "closed"


def test_a_file_that_grew_gives_only_its_new_lines(tmp_path: Path, home: Terminal) -> None:
    log = tmp_path / "events.json"
    long = [json.dumps(EVENT | {"Number": n, "Pad": "x" * 200}) + "\n" for n in range(40)]
    log.write_text("".join(long[:30]))
    first = answer(home, "ingest", log, "--source", "p1-win")
    log.write_text("".join(long))
    second = answer(home, "ingest", log, "--source", "p1-win")
    assert [(one["records"], one["stored"]) for one in (first, second)] == [(30, 30), (10, 10)]


def test_what_a_call_did_not_wait_for_the_next_one_sees_through(
    tmp_path: Path, home: Terminal
) -> None:
    rule, log = tmp_path / "rule.yml", tmp_path / "events.json"
    rule.write_bytes(RULE)
    log.write_text(json.dumps(EVENT) + "\n")
    answer(home, "rules", "import", rule, "--name", "test")
    # A Ctrl-C once the records are spooled leaves the same behind.
    assert in_a_process(home.home, "ingest", log, "--source", "p1-win", "--no-wait")["records"] == 1
    assert answer(home, "ticket", "list")["items"] == []
    assert in_a_process(home.home, "ingest", log, "--source", "p1-win")["skipped"] == 1
    assert [t["title"] for t in answer(home, "ticket", "list")["items"]] == ["A test rule"]
