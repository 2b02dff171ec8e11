"""The lock file: what `make install` needs of it, which a `pip-compile` with other flags than `make lock` breaks."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_LOCK = (_ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_extras_stand_in_the_lock_because_pip_with_hashes_asks_for_them_by_name() -> None:
    setup = ConfigParser()
    setup.read(_ROOT / "setup.cfg", encoding="utf-8")
    wanted = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    named = set(re.findall(r"^([\w.-]+\[[\w,]+\])", "\n".join(wanted), re.MULTILINE))
    # pytest-cov asks for coverage[toml]: without the extra, pip 23 refuses the whole file.
    assert named | {"coverage[toml]"} <= set(
        re.findall(r"^([\w.-]+\[[\w,]+\])==", _LOCK, re.MULTILINE)
    )


def test_the_lock_holds_pins_and_hashes_and_nothing_of_the_machine_that_wrote_it() -> None:
    lines = [line for line in _LOCK.splitlines() if line and not line.startswith(("#", "    "))]
    assert [
        line
        for line in lines
        if not re.fullmatch(r"[\w.-]+(\[[\w,]+\])?==\S+( ; [^\\]+)? \\", line)
    ] == []
