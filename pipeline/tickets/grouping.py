"""Findings become tickets: read in the order of their change, by a cursor that commits with the tickets.

In: findings that are new, amended or merged since the cursor (`counter` row `tickets.findings`).
Out: tickets, history and outbox rows. One transaction a batch: kill it anywhere, and the batch is
done or is done again. What becomes of each finding is the desk's to say (`desk.py`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.state.state import State
from pipeline.state.tables.detection import FindingRow
from pipeline.state.tables.operation import Counter
from pipeline.store.steps import step
from pipeline.tickets.desk import Desk
from pipeline.tickets.policy import DEFAULT_POLICY, Policy

CURSOR: Final = "tickets.findings"


class Grouped(msgspec.Struct, frozen=True):
    """Findings read, tickets opened, and the findings that still wait."""

    read: int
    opened: int
    left: int


def tickets_once(state: State, *, now: datetime, policy: Policy = DEFAULT_POLICY) -> Grouped | None:
    """Take one batch of changed findings into tickets. None: nothing has changed."""
    with state.read() as session:
        if not _waiting(session, _position(session)):
            return None
    with state.begin() as session:
        if session.get(Counter, CURSOR, with_for_update=True) is None:
            session.add(Counter(name=CURSOR, value=0))
            session.flush()
        cursor = session.get_one(Counter, CURSOR)
        findings = list(
            session.scalars(
                sa.select(FindingRow)
                .where(FindingRow.number > cursor.value)
                .order_by(FindingRow.number)
                .limit(policy.batch)
            )
        )
        if not findings:
            return None
        desk = Desk(session, now, policy, findings)
        for finding in findings:
            desk.take(finding)
            step("tickets.taken")
        desk.finish()
        cursor.value = findings[-1].number
        session.flush()
        step("tickets.before_commit")
        left = _waiting(session, cursor.value)
    step("tickets.committed")
    return Grouped(len(findings), desk.opened, left)


def _position(session: Session) -> int:
    row = session.get(Counter, CURSOR)
    return row.value if row else 0


def _waiting(session: Session, position: int) -> int:
    query = sa.select(sa.func.count()).where(FindingRow.number > position)
    return session.scalar(query) or 0
