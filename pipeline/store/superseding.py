"""Replays on the lake: rows that take an event's place, and the mark that the old one is superseded.

In: the tables of a commit, whose rows name in `thapcanh.replaces` the event that they mend. Out: the tables
without those whose old event has a successor already (they are known), and the marks, written in the
transaction that makes the new events exist. Invariant: an event has at most one successor, so that a
replay, however often it is begun, makes one event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.model import events
from pipeline.model.errors import ConflictError
from pipeline.state.state import State
from pipeline.state.tables.intake import DeadLetterRow
from pipeline.state.tables.lake import Superseded

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK = 400  # bound parameters of one statement


def replaced(table: pa.Table) -> dict[str, str]:
    """Old event → new event (hex ids) of the rows that replace one; nearly always none."""
    if events.REPLACES not in table.column_names:
        return {}
    column = table.column(events.REPLACES)
    if column.null_count == len(column):
        return {}
    ids = table.column(events.ID)
    return {
        old: ids[row].as_py().hex()
        for row, old in reversed(list(enumerate(column.to_pylist())))  # of two, the first stays
        if old
    }


def succeeded(state: State, tables: Iterable[pa.Table]) -> set[str]:
    """Of the events that the tables would replace, those that have a successor already."""
    wanted = sorted({old for table in tables for old in replaced(table)})
    found: set[str] = set()
    for start in range(0, len(wanted), _CHUNK):
        with state.read() as session:
            found.update(_among(session, wanted[start : start + _CHUNK]))
    return found


def without(table: pa.Table, gone: set[str]) -> pa.Table:
    """The table without rows whose old event is in `gone`, or is replaced by an earlier row; what stays
    is added to `gone`, so that the commit's next tables keep to it."""
    import pyarrow as pa

    mine = replaced(table)
    if not mine:
        return table
    keep = []
    for old in table.column(events.REPLACES).to_pylist():
        keep.append(not old or old not in gone)
        if old:
            gone.add(old)
    return table.filter(pa.array(keep, pa.bool_()))


def mark(session: Session, marks: Mapping[str, str], now: datetime) -> None:
    """The old events are superseded, and their dead letters replayed."""
    olds = sorted(marks)
    for start in range(0, len(olds), _CHUNK):
        part = olds[start : start + _CHUNK]
        if _among(session, part):
            raise ConflictError("another replay was first", got=part[0], remedy="it is tried again")
        session.add_all(Superseded(event=old, by=marks[old], at=now) for old in part)
        session.execute(
            sa.update(DeadLetterRow)
            .where(DeadLetterRow.event.in_(part), DeadLetterRow.state == "open")
            .values(state="replayed")
        )


def _among(session: Session, olds: list[str]) -> set[str]:
    return set(session.scalars(sa.select(Superseded.event).where(Superseded.event.in_(olds))))
