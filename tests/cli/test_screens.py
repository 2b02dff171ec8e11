"""What a user sees, whole: each file of `screens/` is a session at the terminal on the seeded home.

Lines ``$ thapcanh …`` are said in order; what is printed must be what the file shows, standard error after
``! ``, an exit code that is not 0 after ``= ``. ``THAPCANH_REWRITE=1`` writes what was seen: read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.terminal import Terminal, transcript

SCREENS = sorted((Path(__file__).parent / "screens").glob("*.txt"))


@pytest.mark.parametrize("screen", SCREENS, ids=lambda path: path.stem)
def test_a_session_shows_what_it_showed(screen: Path, morning: Terminal) -> None:
    kept = screen.read_text("utf-8")
    said = [line[11:] for line in kept.splitlines() if line.startswith("$ thapcanh ")]
    seen = transcript(morning, said)
    if os.environ.get("THAPCANH_REWRITE"):
        screen.write_text(seen, "utf-8")
    assert seen == kept


@pytest.mark.parametrize("screen", SCREENS, ids=lambda path: path.stem)
def test_no_screen_is_wider_than_a_terminal_or_shows_a_traceback(screen: Path) -> None:
    lines = screen.read_text("utf-8").splitlines()
    wide = [
        line
        for line in lines
        if len(line) > 100
        and not line.lstrip().startswith(('"', "$", "!", "original", "event.original"))
    ]
    assert wide == []
    assert [line for line in lines if "Traceback" in line] == []
