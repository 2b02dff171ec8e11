"""``docs/cli.md`` names every command and every option; `tests/test_docs.py` holds that its examples can be said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main
from support.commands import commands

from pipeline.cli.main import app

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text("utf-8")
EVERY = dict(commands(typer.main.get_command(app)))
COMMON = {"--home", "--json", "--limit", "--after"}
FORM = re.compile(r"^### `thapcanh ([^`]+)`\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
FOUND = FORM.findall(PAGE)
SECTIONS = dict(FOUND)


def test_every_command_has_its_heading_and_every_heading_is_a_command() -> None:
    assert sorted(name for name, _ in FOUND) == sorted(" ".join(words) for words in EVERY)


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_option_is_mentioned_and_there_is_an_example(words: tuple[str, ...]) -> None:
    text = SECTIONS[" ".join(words)]
    options = {
        one.opts[0]
        for one in EVERY[words].params
        if one.opts[0].startswith("--") and not getattr(one, "hidden", False)
    }
    unsaid = {name for name in options - COMMON if not re.search(rf"{name}\b(?!-)", text)}
    assert (unsaid, f"thapcanh {' '.join(words)}" in text) == (set(), True)
