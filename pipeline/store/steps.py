"""Named steps of a commit, a compaction or a deletion: where a test kills the process.

`step(name)` does nothing, unless a test has set `on_step`.
"""

from __future__ import annotations

from collections.abc import Callable

on_step: Callable[[str], None] | None = None


def step(name: str) -> None:
    if on_step is not None:
        on_step(name)
