"""Findings written straight into the state, as a detection run would leave them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from pipeline.model.clock import EPOCH
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingRow
from pipeline.state.tables.operation import Counter
from pipeline.tickets.grouping import tickets_once
from pipeline.tickets.policy import DEFAULT_POLICY, Policy

NOW = EPOCH + timedelta(days=30)


@dataclass(frozen=True)
class Given:
    """A finding of a test. Times in minutes since 1970; `made` is when detection made it."""

    id: str
    rule: str = "r1"
    agency: str = "ward-1"
    entity: str = "pc-1"
    first: float = 600
    last: float | None = None
    level: str = "high"
    status: str = "test"
    count: int = 1
    made: float = 0
    samples: tuple[dict[str, Any], ...] = ()
    merged_into: str = ""


def put(state: State, *findings: Given) -> None:
    """Add them, or change those that are there: each takes the next number, as any change does."""
    with state.begin() as session:
        for given in findings:
            row = session.get(FindingRow, given.id)
            number = (session.scalar(sa.select(sa.func.max(FindingRow.number))) or 0) + 1
            session.merge(Counter(name="finding", value=number))
            values = {
                "number": number, "rule": given.rule, "revision": "v1", "agency": given.agency,
                "entity": given.entity, "entity_field": "host.name", "level": given.level,
                "status": given.status, "title": f"Title of {given.rule}", "count": given.count,
                "first": EPOCH + timedelta(minutes=given.first),
                "last": EPOCH + timedelta(minutes=given.first if given.last is None else given.last),
                "samples": list(given.samples), "merged_into": given.merged_into, "run": "run",
                "created": EPOCH + timedelta(minutes=given.made), "changed": NOW,
            }  # fmt: skip
            if row is None:
                session.add(FindingRow(id=given.id, born=number, **values))
            else:
                for name, value in values.items():
                    setattr(row, name, value)


def group(state: State, policy: Policy = DEFAULT_POLICY) -> int:
    """Take everything that waits into tickets; how many were opened."""
    opened = 0
    while done := tickets_once(state, now=NOW, policy=policy):
        opened += done.opened
    return opened


def take(state: State, findings: Iterable[Given], policy: Policy = DEFAULT_POLICY) -> int:
    put(state, *findings)
    return group(state, policy)
