"""``rules check`` names every fault of rule files with its line."""

from __future__ import annotations

import shutil
from pathlib import Path

from support.cli_words import RULE
from support.terminal import Terminal

from pipeline.detect.proof.evidence import evidence_path
from pipeline.settings.places import rules_dir


def test_a_rule_of_ours_keeps_the_law(terminal: Terminal) -> None:
    done = terminal.say("rules check", rules_dir() / "nginx" / "web_shell.yml")
    assert (done.code, done.out, done.err) == (0, "ok\n", "")


def test_all_faults_are_told_by_file_and_line(terminal: Terminal, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_bytes(RULE.replace(b"status: test", b"status: final"))
    twice = tmp_path / "twice.yml"
    twice.write_bytes(RULE.replace(b"level: high", b"level: high\nlevel: low"))
    shutil.copy(rules_dir() / "nginx" / "web_shell.yml", tmp_path)
    good = tmp_path / "web_shell.yml"
    good.write_text(good.read_text("utf-8").replace("author: Tháp Canh", "author: Ai đó"), "utf-8")
    shutil.copy(evidence_path(rules_dir() / "nginx" / "web_shell.yml"), tmp_path)

    done = terminal.say("rules check", tmp_path)
    author = 1 + good.read_text("utf-8").splitlines().index("author: Ai đó")

    told = done.out.replace(str(tmp_path), "…").splitlines()
    assert done.code == 2
    assert f"…/web_shell.yml:{author}: the author Ai đó (expected Tháp Canh)" in told
    assert [line for line in told if line.startswith("…/twice.yml:5: ")] != []
    assert [line for line in told if line.startswith("…/broken.yml:3: ")] != []
    assert done.err == f"thapcanh: {len(told)} faults\n"


def test_without_the_law_only_what_import_asks_is_asked(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "foreign.yml").write_bytes(RULE)
    assert terminal.say("rules check --no-law", tmp_path).out == "ok\n"
    answer = terminal.say("rules check --no-law --json", tmp_path / "none.yml")
    assert (answer.code, "no such rule file" in answer.out) == (2, True)
