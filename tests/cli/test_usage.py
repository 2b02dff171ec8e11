"""Every command explains itself, and every mistake ends in words and its exit code, never in a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from support.commands import commands
from support.terminal import Terminal

from pipeline.cli.main import app

EVERY = list(commands(typer.main.get_command(app)))
NO_JSON = {"serve", "match", "normalise", "config check"}  # lines of their own, or nothing to show


@pytest.mark.parametrize(("words", "command"), EVERY, ids=[" ".join(words) for words, _ in EVERY])
def test_every_command_and_option_says_what_it_is(words: tuple[str, ...], command: Any) -> None:
    assert command.help, words
    silent = [
        one.opts
        for one in command.params
        if not getattr(one, "help", None) and not getattr(one, "hidden", False)
    ]
    assert silent == []


def test_every_command_that_answers_can_answer_in_json() -> None:
    without = {
        " ".join(words)
        for words, command in EVERY
        if "--json" not in {option for one in command.params for option in one.opts}
    }
    assert without == NO_JSON


@pytest.mark.parametrize(
    "line",
    [
        "finding",
        "finding list --limit 0",
        "finding list --odd",
        "rules switch 00000003",
        "rules import",
        "nothing",
        "ticket close 1",
    ],
)
def test_wrong_use_is_code_2(line: str, morning: Terminal) -> None:
    done = morning.say(line)
    assert (done.code, "Traceback" in done.err, "python" in done.err) == (2, False, False)


READS = [(words, command) for words, command in EVERY if words[-1] in {"list", "show", "search"}]


@pytest.mark.parametrize(("words", "command"), READS, ids=[" ".join(words) for words, _ in READS])
def test_what_has_no_home_says_how_to_make_one(
    words: tuple[str, ...], command: Any, terminal: Terminal
) -> None:
    if words == ("config", "show"):
        return  # the defaults need none
    wanted = sum(one.required for one in command.params)
    value = "0" * 32 if words[0] == "event" else "1"
    done = terminal.say(" ".join([*words, *[value] * wanted]))
    assert (done.code, done.out, done.err) == (
        2,
        "",
        "thapcanh: there is no home folder here (at HOME). thapcanh admin init makes one\n",
    )


@pytest.mark.parametrize(
    "words",
    [
        words
        for words, command in EVERY
        if words[-1] == "list" and not any(one.required for one in command.params)
    ],
)
def test_every_list_is_one_document_of_items_and_next(
    words: tuple[str, ...], morning: Terminal
) -> None:
    assert set(morning.say(" ".join([*words, "--json"])).json) == {"items", "next"}


def test_the_home_may_stand_before_the_command(terminal: Terminal, tmp_path: Path) -> None:
    before = terminal.say("--home", tmp_path / "none", "finding", "list")
    assert before == terminal.say("finding list --home", tmp_path / "none")
    assert "admin init" in before.err


def test_another_option_before_the_command_is_told_its_place(terminal: Terminal) -> None:
    done = terminal.say("--json finding list")
    assert (done.code, done.out) == (2, "")
    assert "thapcanh COMMAND … --json" in done.err


@pytest.mark.parametrize(
    "words", [["--help"], ["normalise", "-", "--product", "windows"], ["rules", "--help"]]
)
def test_who_reads_no_further_ends_a_command_without_a_word(words: list[str]) -> None:
    lines = b'{"EventID": 1, "Channel": "Security"}\n' * 3_000
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli.main", *words],
        input=lines, stdout=writer, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")
