"""A terminal in the test's process: commands said as a user says them, on a home and at a time that are given.

Out: an `Answer` of exit code, standard output and standard error; secrets and new ids, which differ each time, masked.
"""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

_SECRETS = (
    (re.compile(r"[0-9a-f]{20}:[\w-]{43}"), "KEY:SECRET"),
    (re.compile(r"tct_[0-9a-f]{16}_[\w-]{43}"), "tct_TOKEN_SECRET"),
    (re.compile(r"\b01[0-9a-f]{24}\b"), "NEW-ID"),
    (re.compile(r"/link/[\w-]{43}"), "/link/SECRET"),
)


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


class Terminal:
    """`say("finding list --limit 3")`."""

    def __init__(
        self, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.home, self._capsys, self._patch = home, capsys, monkeypatch
        monkeypatch.setenv("THAPCANH_HOME", str(home))
        monkeypatch.setenv("COLUMNS", "100")

    def at(self, now: datetime) -> None:
        """From here on it is `now` for every command."""
        from pipeline.cli import main  # noqa: F401 - loads the commands

        for name, module in list(sys.modules.items()):
            if name.startswith("pipeline.cli.") and hasattr(module, "utc_now"):
                self._patch.setattr(module, "utc_now", lambda: now)

    def on(self, store: Any) -> None:
        """Commands read this store instead of the home's."""
        from pipeline.serve.installation import Installation

        self._patch.setattr(Installation, "store", property(lambda _: store))

    def say(self, line: str, *more: str | Path, given: bytes = b"", masked: bool = True) -> Answer:
        """The words of `line`, then `more` as they are; `given` stands on standard input."""
        from pipeline.cli.main import run

        self._capsys.readouterr()
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(given))))
        self._patch.setattr(sys, "argv", ["thapcanh", *shlex.split(line), *map(str, more)])
        try:
            run()
            code = 0
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 1
        out, err = self._capsys.readouterr()
        return Answer(code, *(map(self._masked, (out, err)) if masked else (out, err)))

    def _masked(self, text: str) -> str:
        for form, name in _SECRETS:
            text = form.sub(name, text)
        return text.replace(str(self.home), "HOME")


MakeTerminal = Callable[[], Terminal]


def transcript(terminal: Terminal, lines: list[str]) -> str:
    """What a user sees: the commands, what they print (errors after `! `), and exit codes that are not 0."""
    shown: list[str] = []
    for line in lines:
        done = terminal.say(line)
        shown.append(f"$ thapcanh {line}")
        shown += done.out.splitlines()
        shown += [f"! {text}".rstrip() for text in done.err.splitlines()]
        if done.code:
            shown.append(f"= {done.code}")
        shown.append("")
    return "\n".join(shown)
