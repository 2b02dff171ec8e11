"""Which kinds of mirrors were run against the real system, and which only built to its description."""

from __future__ import annotations

from typing import Final

DESCRIBED_ONLY: Final = frozenset({"thehive", "iris", "jira"})


def proven(kind: str) -> bool:
    return kind not in DESCRIBED_ONLY
