"""Which findings open tickets, which of them share one, and from when on they are a storm."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from pipeline.model.detections import Level
from pipeline.state.tables.detection import FindingRow


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Findings of rules at `level` and up, with one of the `statuses`, open tickets.

    Those of one agency and entity no further apart than `gap` share a ticket. When `storm` findings of a
    rule at an agency have needed tickets of their own within `storm_span`, further ones hang under one
    ticket (0: never).
    """

    level: Level = Level.MEDIUM
    statuses: frozenset[str] = frozenset({"stable", "test"})
    gap: timedelta = timedelta(hours=1)
    storm: int = 30
    storm_span: timedelta = timedelta(hours=1)
    batch: int = 20  # keeps a transaction near 50 ms

    def opens(self, finding: FindingRow) -> bool:
        return Level(finding.level).rank >= self.level.rank and finding.status in self.statuses


DEFAULT_POLICY: Final = Policy()
