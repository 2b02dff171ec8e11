"""``thapcanh match`` on real files: exactly the pairs that a slow reference found."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from support.cli_words import EVENT, RULE
from support.terminal import Terminal

SIGMA = ("rules", "rules-emerging-threats", "rules-threat-hunting")


def test_the_windows_corpus_gives_exactly_the_expected_pairs(
    corpora: Path, sigma_rules: Path
) -> None:
    rules = [word for name in SIGMA for word in ("--rules", sigma_rules / name)]
    command = [
        sys.executable, "-m", "pipeline.cli.main", "match", corpora / "windows-events.ndjson.gz",
        "--product", "windows", "--scope", "sysmon", *rules,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, check=False)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    expected = json.loads((corpora / "windows-events.expected.json").read_text())
    assert (done.returncode, {(one["rule_id"], one["line"]) for one in found}, len(found)) == (
        0,
        {(rule, line) for rule, one in expected.items() for line in one["lines"]},
        312,
    )
    assert [one["line"] for one in found] == sorted(one["line"] for one in found)


def test_every_regression_case_of_sigmahq_fires(
    corpora: Path, sigma_rules: Path, tmp_path: Path
) -> None:
    from pipeline.cli.files import _Batches, _product
    from pipeline.detect.matching.compile import compile_rules
    from pipeline.detect.matching.match_file import matches
    from pipeline.detect.rulebook.rules import load_rules
    from pipeline.detect.rulebook.taxonomy import Taxonomy
    from pipeline.settings.places import config_dir

    class Silent:
        def update(self, _count: int) -> None: ...

    with tarfile.open(corpora / "sigma-regression.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    taxonomy, windows = Taxonomy.load(config_dir() / "taxonomy"), _product("windows")
    short = []
    cases = json.loads((tmp_path / "cases.json").read_text())
    for case in cases:
        compiled = compile_rules(load_rules([sigma_rules / case["rule"]]).rules, taxonomy)
        tables = _Batches(tmp_path / case["evtx"], windows).tables(Silent())
        count = sum(one.rule_id == case["rule_id"] for one in matches(compiled, tables))
        if count < case["min_matches"]:
            short.append((case["rule"], count))
    assert (len(cases), short) == (98, [])


def test_standard_input_is_matched_by_line_and_case_does_not_matter(
    tmp_path: Path, terminal: Terminal
) -> None:
    (tmp_path / "rule.yml").write_bytes(RULE)
    lines = b"\n" + json.dumps(EVENT).encode() + b"\n{broken\n"
    done = terminal.say("", "match", "-", "--product", "windows", "--rules", tmp_path, given=lines)
    assert (done.code, json.loads(done.out)) == (
        0,
        {
            "rule_id": "5f1b2a0e-6f50-4a8b-9f0d-0d9f8a7c1e11",
            "line": 2,
            "title": "A test rule",
            "level": "high",
        },
    )
    assert "1 records could not be parsed" in done.err


def test_a_broken_rule_is_named_and_the_others_run(tmp_path: Path, terminal: Terminal) -> None:
    (tmp_path / "a.yml").write_bytes(RULE)
    (tmp_path / "b.yml").write_bytes(RULE.replace(b"level: high", b"level: high\nlevel: low"))
    given = json.dumps(EVENT).encode()
    done = terminal.say("", "match", "-", "--product", "windows", "--rules", tmp_path, given=given)
    assert (done.code, len(done.out.splitlines())) == (3, 1)
    assert "b.yml" in done.err
    assert "level" in done.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("match", "none.log", "--product", "windows", "--rules", "."), 1, "no such file"),
        (("match", "-", "--product", "wndows", "--rules", "."), 2, "did you mean windows?"),
        (
            ("match", "-", "--product", "windows", "--scope", "x", "--rules", "."),
            2,
            "no such scope",
        ),
        (("match", "-"), 2, "--product"),
        (("ticket", "list", "--home", "/nonexistent/home"), 2, "there is no home folder here"),
    ],
)
def test_wrong_use_is_told_in_a_line_without_a_traceback(
    words: tuple[str, ...], code: int, said: str, tmp_path: Path, terminal: Terminal
) -> None:
    (tmp_path / "rule.yml").write_bytes(RULE)
    words = tuple(str(tmp_path) if word == "." else word for word in words)
    done = terminal.say("", *words, given=b"{}")
    assert (done.code, said in done.err, "Traceback" in done.err) == (
        code,
        True,
        False,
    )


def test_all_faults_of_a_command_are_named_at_once(tmp_path: Path, terminal: Terminal) -> None:
    (tmp_path / "bad.yml").write_text("title: [")
    (tmp_path / "x.json").write_text("{}\n")
    done = terminal.say(
        "match", tmp_path / "x.json", "--product", "windwos", "--scope", "odd",
        "--rules", tmp_path / "bad.yml",
    )  # fmt: skip
    assert done.code == 2
    for words in ("did you mean windows?", "no such scope", "not YAML"):
        assert words in done.err
