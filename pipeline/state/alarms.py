"""Alarms of the pipeline itself: one open row a key, and a line in the log of who raised it."""

from __future__ import annotations

import logging
from datetime import datetime

import sqlalchemy as sa

from pipeline.model.ids import new_id
from pipeline.state.state import State
from pipeline.state.tables.operation import Alarm

log = logging.getLogger(__name__)


def raise_alarm(state: State, key: str, message: str, *, now: datetime) -> None:
    """Open the alarm `key`, or mark the open one as seen again. Logs before it touches the state."""
    log.error("ALARM %s", message, extra={"alarm": key})
    with state.begin() as session:
        row = session.scalar(sa.select(Alarm).where(Alarm.key == key, Alarm.closed.is_(None)))
        if row is None:
            session.add(Alarm(id=new_id(), key=key, message=message, opened=now, seen=now))
        else:
            row.message, row.seen = message, now


def close_alarm(state: State, key: str, *, now: datetime) -> None:
    """Close the alarm `key` where it is open."""
    with state.read() as session:
        found = session.scalar(sa.select(Alarm.id).where(Alarm.key == key, Alarm.closed.is_(None)))
    if found is None:
        return
    with state.begin() as session:
        session.execute(
            sa.update(Alarm).where(Alarm.key == key, Alarm.closed.is_(None)).values(closed=now)
        )


def open_alarms(state: State) -> list[Alarm]:
    """The open ones, the oldest first."""
    with state.read() as session:
        return list(
            session.scalars(sa.select(Alarm).where(Alarm.closed.is_(None)).order_by(Alarm.opened))
        )
