"""Watch-lists, updates of a rule set, locks and the taxonomy's export, as they are said at a terminal."""

from __future__ import annotations

import shutil
from pathlib import Path

from support.terminal import Terminal

from pipeline.settings.places import rules_dir

RULE = """title: Rule about {word}
id: {letter}0000000-0000-4000-8000-000000000000
logsource: {{product: windows, category: process_creation}}
detection: {{s: {{'CommandLine|contains': {word}}}, condition: s}}
"""


def test_a_watch_list_is_filled_shown_and_dropped(terminal: Terminal, tmp_path: Path) -> None:
    values = tmp_path / "values.txt"
    values.write_text("# CERT\n198.51.100.0/24\n", "utf-8")
    added = terminal.say(f"watchlist add c2 192.0.2[.]7 --from {values} --kind address --json")
    assert added.json == {"name": "c2", "added": 2, "removed": 0}
    shown = terminal.say("watchlist show c2 --json").json["items"]
    assert [item["value"] for item in shown] == ["192.0.2.7", "198.51.100.0/24"]
    assert terminal.say("watchlist remove c2 192.0.2.7 --json").json["removed"] == 1
    assert terminal.say("watchlist list --json").json["items"][0]["values"] == 1
    wrong = terminal.say("watchlist add c2 nope")
    assert (wrong.code, "nope" in wrong.err) == (2, True)
    assert terminal.say("watchlist add c2").code == 2
    assert terminal.say("watchlist drop c2 --json").json["state"] == "dropped"
    assert terminal.say("watchlist show c2").code == 1


def test_an_update_is_told_rule_by_rule(terminal: Terminal, tmp_path: Path) -> None:
    for letter, word in (("a", "whoami"), ("b", "net")):
        (tmp_path / f"{letter}.yml").write_text(RULE.format(letter=letter, word=word), "utf-8")
    first = terminal.say(f"rules import {tmp_path} --name ours")
    assert "+ " not in first.out
    (tmp_path / "a.yml").unlink()
    (tmp_path / "b.yml").write_text(RULE.format(letter="b", word="net1"), "utf-8")
    told = [
        "~ Rule about net1  b0000000-0000-4000-8000-000000000000",
        "- Rule about whoami  a0000000-0000-4000-8000-000000000000",
    ]
    preview = terminal.say(f"rules import {tmp_path} --name ours --preview")
    assert preview.out.splitlines()[-2:] == told
    assert terminal.say(f"rules import {tmp_path} --name ours --json").json["rules"] == told


def test_a_changed_rule_gets_its_next_version(terminal: Terminal, tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    shutil.copytree(rules_dir(), folder)
    assert terminal.say(f"rules lock {folder} --json").json["items"] == []
    rule = folder / "nginx" / "web_shell.yml"
    rule.write_text(rule.read_text("utf-8").replace("level: high", "level: medium"), "utf-8")
    (item,) = terminal.say(f"rules lock {folder} --json").json["items"]
    assert item["change"].startswith("nginx/web_shell.yml: version ")


def test_the_taxonomy_is_written_for_sigma_cli(terminal: Terminal, tmp_path: Path) -> None:
    written = terminal.say(f"rules export-taxonomy {tmp_path / 'out'} --json").json["written"]
    assert len(list((tmp_path / "out").glob("thapcanh-*.yml"))) == written > 1
