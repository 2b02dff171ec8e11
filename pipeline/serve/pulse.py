"""A role's signs of life, written from its own main loop: a loop that hangs stops beating.

`beat` says that the loop turns; `progress` that work was done; `waiting` how much work there is.
The supervisor calls a role stuck that has not beaten for a while, or has work and no progress.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pipeline.model.clock import utc_now
from pipeline.model.errors import ServiceAwayError
from pipeline.state.state import State
from pipeline.state.tables.operation import Pulse

EVERY_SECONDS = 1.0


class Heart:
    """Writes the pulse of one role of one node, at most once a second."""

    def __init__(self, state: State, role: str, node: str = "") -> None:
        self._state, self._role, self._node = state, role, node
        self._started = self._progress = utc_now()
        self._due = 0.0

    def stopped(self, detail: Mapping[str, Any]) -> None:
        """The last beat of a role that ends in order."""
        self._due = 0.0
        self.beat(progress=True, detail={**detail, "stopped": True})

    def beat(
        self, *, progress: bool = False, waiting: int = 0, detail: Mapping[str, Any] | None = None
    ) -> None:
        now = utc_now()
        if progress or not waiting:
            self._progress = now
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY_SECONDS
        try:
            with self._state.begin() as session:
                session.merge(
                    Pulse(
                        role=self._role,
                        node=self._node,
                        pid=os.getpid(),
                        started=self._started,
                        beat=now,
                        progress=self._progress,
                        waiting=waiting,
                        detail=dict(detail or {}),
                    )
                )
        except ServiceAwayError:
            return  # a busy or full state stops no role by its pulse; a missing pulse is seen


def forget_pulses(state: State, roles: Collection[str], node: str) -> None:
    """Those of listener groups that this collector no longer has: nobody is missing there."""
    with state.begin() as session:
        session.execute(
            sa.delete(Pulse).where(
                Pulse.role.not_in(roles), Pulse.node.startswith(f"{node}.", autoescape=True)
            )
        )


@dataclass(frozen=True, slots=True)
class RoleHealth:
    """`reason` is empty while the role is well."""

    role: str
    node: str
    reason: str
    waiting: int
    beat: datetime


def read_pulses(state: State, *, now: datetime, stuck_after: float) -> list[RoleHealth]:
    """The health of every role that ever beat in this home."""
    with state.read() as session:
        rows = session.query(Pulse).order_by(Pulse.role, Pulse.node).all()
    return [
        RoleHealth(
            row.role,
            row.node,
            _reason(row, now, timedelta(seconds=stuck_after)),
            row.waiting,
            row.beat,
        )
        for row in rows
    ]


def _reason(row: Pulse, now: datetime, limit: timedelta) -> str:
    if now - row.beat > limit:
        return f"no sign of life for {int((now - row.beat).total_seconds())} s"
    if row.waiting and now - row.progress > limit:
        return f"{row.waiting} waiting and no progress for {int((now - row.progress).total_seconds())} s"
    return ""
