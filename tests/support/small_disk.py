"""``python small_disk.py WORDS…``: the command `thapcanh`, whose collector leaves no room on the disk for
the rest of the system, so that a small disk can be filled to its last byte."""

from __future__ import annotations

import os
import sys

from pipeline.serve.supervisor import Supervisor


def install() -> None:
    """In this process, and in the roles that its supervisor starts."""
    os.environ["THAPCANH__COLLECT__FREE_BYTES"] = str(64 << 10)
    usual = Supervisor._default_command

    def command(self: Supervisor, name: str) -> list[str]:
        return [sys.executable, __file__, *usual(self, name)[3:]]

    Supervisor._default_command = command  # type: ignore[method-assign]


if __name__ == "__main__":
    from pipeline.cli.main import run

    install()
    run()
