"""What makes two findings speak of one thing, and whether all that they speak of is a drill.

In: a finding. Out: the key under which grouping compares entities: trimmed, case-folded, composed, so
that ``PBN-PC07.x`` and ``pbn-pc07.x `` are one host. A finding without an entity is grouped with those
of its own rule alone.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.detect.correlations.correlation import CENTRE
from pipeline.model import fold
from pipeline.model.events import AGENCY
from pipeline.model.ids import content_hash
from pipeline.state.tables.detection import FindingRow
from pipeline.state.tables.register import Agency

_ENTITY: Final = "entity"
_RULE: Final = "rule"


def entity_key(entity: str, rule: str) -> str:
    """32 hex digits: entities have any length, the key of an index has not."""
    folded = fold.entity(entity)
    return content_hash(_ENTITY, folded) if folded else content_hash(_RULE, rule)


def is_drill(session: Session, finding: FindingRow) -> bool:
    """Whether the finding is a rehearsal's: its agency's, or, of one of the centre, its events' agencies'.

    A correlation never mixes the agencies of a drill with real ones; what is not known counts as real.
    """
    agencies = {finding.agency} if finding.agency != CENTRE else _agencies_of_events(finding)
    if not agencies:
        return False
    query = sa.select(sa.func.count()).where(
        Agency.id.in_(sorted(agencies)), Agency.drill.is_(True)
    )
    return session.scalar(query) == len(agencies)


def _agencies_of_events(finding: FindingRow) -> set[str]:
    """As its samples name them: all of them, or nothing is known."""
    named = [(sample.get("fields") or {}).get(AGENCY, "") for sample in finding.samples]
    return set(named) if named and all(named) else set()
