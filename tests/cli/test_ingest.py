"""A file through the whole way on the embedded store: once, however often it is sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.cli_words import EVENT, RULE


def thapcanh(home: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli.main", *map(str, words)],
        capture_output=True, text=True, check=False, env=os.environ | {"THAPCANH_HOME": str(home)},
    )  # fmt: skip


def answer(home: Path, *words: str | Path) -> dict[str, Any]:
    done = thapcanh(home, *words, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_file_sent_twice_makes_each_event_and_ticket_once(tmp_path: Path) -> None:
    home, rules, log = tmp_path / "home", tmp_path / "rules", tmp_path / "events.json"
    rules.mkdir()
    (rules / "rule.yml").write_bytes(RULE)
    quiet = EVENT | {"Image": "C:\\Windows\\notepad.exe"}
    log.write_text(
        "\n".join(json.dumps(one) for one in (EVENT, quiet, EVENT, {"x": 1})) + "\n\nnot json\n"
    )
    assert thapcanh(home, "agency", "add", "p1", "--name", "Phường Một").returncode == 0
    answer(home, "source", "add", "p1-win", "--agency", "p1", "--product", "windows")
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
    refused = thapcanh(home, "ticket", "close", "1", "--reason", "because", "--note", "x")
    assert (refused.returncode, "no such closing reason" in refused.stderr) == (2, True)
    closed = answer(
        home, "ticket", "close", "1", "--reason", "benign_true_positive", "--note", "thử"
    )
    assert closed["status"] == "closed"


def test_a_file_that_grew_gives_only_its_new_lines(tmp_path: Path) -> None:
    home, log = tmp_path / "home", tmp_path / "events.json"
    long = [json.dumps(EVENT | {"Number": n, "Pad": "x" * 200}) + "\n" for n in range(40)]
    log.write_text("".join(long[:30]))
    thapcanh(home, "agency", "add", "p1", "--name", "Phường Một")
    answer(home, "source", "add", "p1-win", "--agency", "p1", "--product", "windows")
    first = answer(home, "ingest", log, "--source", "p1-win")
    log.write_text("".join(long))
    second = answer(home, "ingest", log, "--source", "p1-win")
    assert [(one["records"], one["stored"]) for one in (first, second)] == [(30, 30), (10, 10)]


def test_what_a_call_did_not_wait_for_the_next_one_sees_through(tmp_path: Path) -> None:
    home, rule, log = tmp_path / "home", tmp_path / "rule.yml", tmp_path / "events.json"
    rule.write_bytes(RULE)
    log.write_text(json.dumps(EVENT) + "\n")
    assert thapcanh(home, "agency", "add", "p1", "--name", "Phường Một").returncode == 0
    answer(home, "source", "add", "p1-win", "--agency", "p1", "--product", "windows")
    answer(home, "rules", "import", rule, "--name", "test")
    # A Ctrl-C once the records are spooled leaves the same behind.
    assert answer(home, "ingest", log, "--source", "p1-win", "--no-wait")["records"] == 1
    assert answer(home, "ticket", "list")["items"] == []
    assert answer(home, "ingest", log, "--source", "p1-win")["skipped"] == 1
    assert [t["title"] for t in answer(home, "ticket", "list")["items"]] == ["A test rule"]
