"""Runs, cursors, coverage, stored matches and findings: one transaction of detect writes them all."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.model import fold
from pipeline.state.base import Base, BigId


def _entity_key(context: DefaultExecutionContext) -> str:
    parameters: dict[str, str] = context.get_current_parameters()  # type: ignore[no-untyped-call]
    return fold.entity(parameters["entity"])


class ScheduleRow(Base):
    """A name, an interval in seconds and a selection of rules. `paused` carries the reason."""

    __tablename__ = "schedule"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    interval: Mapped[float]
    paused: Mapped[str] = mapped_column(default="")
    changed: Mapped[datetime]


class Maintenance(Base):
    """A declared span in which runs of a schedule (empty: of all) wait."""

    __tablename__ = "maintenance"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    schedule: Mapped[str] = mapped_column(String(64))
    starts: Mapped[datetime]
    ends: Mapped[datetime] = mapped_column(index=True)
    reason: Mapped[str]
    by: Mapped[str]
    declared: Mapped[datetime]
    cancelled: Mapped[datetime | None]


class Cursor(Base):
    """How far a schedule has evaluated a node's sequences."""

    __tablename__ = "cursor"

    schedule: Mapped[str] = mapped_column(String(64), primary_key=True)
    node: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int]


class Lease(Base):
    """Who may run a schedule now. `fence` grows with every holder; a stale one's writes are refused."""

    __tablename__ = "lease"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(64))
    fence: Mapped[int]
    expires: Mapped[datetime]


class Run(Base):
    """A rule set over one window. `status`: running, done, failed. `kind`: scheduled, backfill."""

    __tablename__ = "run"
    __table_args__ = (Index("ix_run_schedule_started", "schedule", "started"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    schedule: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    ruleset: Mapped[str] = mapped_column(String(32))
    window: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(String(16))
    started: Mapped[datetime]
    ended: Mapped[datetime | None]
    events: Mapped[int] = mapped_column(default=0)
    matches: Mapped[int] = mapped_column(default=0)
    rules: Mapped[int] = mapped_column(default=0)
    error: Mapped[str] = mapped_column(default="")


class Coverage(Base):
    """Sequences `first` to `last` of a node that a rule set has been evaluated over.

    `agencies` maps each agency with events in the interval to
    `{"events": n, "first": micros, "last": micros}` of their `@timestamp`.
    """

    __tablename__ = "coverage"
    __table_args__ = (Index("ix_coverage_ruleset_node_last", "ruleset", "node", "last"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    schedule: Mapped[str] = mapped_column(String(64))
    ruleset: Mapped[str] = mapped_column(String(32))
    node: Mapped[str] = mapped_column(String(64))
    first: Mapped[int]
    last: Mapped[int]
    agencies: Mapped[dict[str, Any]]
    first_run: Mapped[str] = mapped_column(String(32))
    last_run: Mapped[str] = mapped_column(String(32))
    closed: Mapped[bool] = mapped_column(default=False)


class MatchBlob(Base):
    """Matches that correlations read: an Arrow stream of at most 1 MB, written by one run. An id is never
    given again, and matches are only ever taken away, so that `id` and `rows` stand for what it holds."""

    __tablename__ = "match_blob"
    __table_args__ = (
        Index("ix_match_blob_last_time", "last_time"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run: Mapped[str] = mapped_column(ForeignKey("run.id"))
    rules: Mapped[list[str]]
    first_time: Mapped[datetime]
    last_time: Mapped[datetime]
    rows: Mapped[int]
    body: Mapped[bytes]
    created: Mapped[datetime] = mapped_column(index=True)


class HiddenMatch(Base):
    """A match that an exception hid. The key makes an event count once, however often it is evaluated.
    `fields` are the matched ones of those that may serve as samples; they and the entity are emptied when the
    agency's events of that age are deleted."""

    __tablename__ = "hidden_match"
    __table_args__ = (
        Index("ix_hidden_match_exception_agency_time", "exception", "agency", "time"),
    )

    exception: Mapped[str] = mapped_column(ForeignKey("exception.id"), primary_key=True)
    rule: Mapped[str] = mapped_column(String(64), primary_key=True)
    event: Mapped[bytes] = mapped_column(primary_key=True)
    agency: Mapped[str] = mapped_column(String(64))
    entity: Mapped[str]
    time: Mapped[datetime]
    fields: Mapped[dict[str, Any]] = mapped_column(default=dict)
    run: Mapped[str] = mapped_column(String(32))


class TakenBack(Base):
    """An event that a replay replaced while a backfill was at work, which may have read it before."""

    __tablename__ = "taken_back"

    event: Mapped[bytes] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)


class CorrelationClock(Base):
    """Up to which moment a correlation's windows have been judged that wait for their end."""

    __tablename__ = "correlation_clock"

    correlation: Mapped[str] = mapped_column(String(64), primary_key=True)
    judged: Mapped[datetime]


class FindingRow(Base):
    """One episode. `number` is its place in the order of change: each change takes the next one,
    so that the role *tickets* reads what is new or amended by its own cursor. `born` is the number
    of its creation: of two that are joined, the one with the lower survives.

    `samples` holds at most 20 `{"event": hex, "time": micros, "fields": {...}}`; `count` is exact.
    `undone` counts the events that it lost: a late one took them back from a correlation, or a replay
    replaced them; a finding may be left with none. `entity` is spelled as its earliest event has it;
    `entity_key` is what all its spellings have in common, by which findings are told apart.
    """

    __tablename__ = "finding"
    __table_args__ = (
        Index("ix_finding_rule_agency_entity_key_last", "rule", "agency", "entity_key", "last"),
        Index("ix_finding_number", "number", unique=True),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    number: Mapped[int]
    born: Mapped[int]
    rule: Mapped[str] = mapped_column(String(64))
    revision: Mapped[str] = mapped_column(String(32))
    agency: Mapped[str] = mapped_column(String(64), index=True)
    entity: Mapped[str]
    entity_key: Mapped[str] = mapped_column(default=_entity_key)
    entity_field: Mapped[str] = mapped_column(String(64), default="")
    level: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    title: Mapped[str]
    first: Mapped[datetime]
    last: Mapped[datetime]
    count: Mapped[int]
    samples: Mapped[list[Any]]
    merged_into: Mapped[str] = mapped_column(String(32), default="")
    undone: Mapped[int] = mapped_column(default=0)
    run: Mapped[str] = mapped_column(String(32))
    created: Mapped[datetime]
    changed: Mapped[datetime]


class FindingEvent(Base):
    """An event of an episode. The key makes an event count once, whichever revision matched it; it begins
    with the event, so that whatever was made of one is found. `entity` is spelled as in the event."""

    __tablename__ = "finding_event"
    __table_args__ = (Index("ix_finding_event_finding_time", "finding", "time"),)

    event: Mapped[bytes] = mapped_column(primary_key=True)
    rule: Mapped[str] = mapped_column(String(64), primary_key=True)
    entity_key: Mapped[str] = mapped_column(primary_key=True, default=_entity_key)
    entity: Mapped[str]
    finding: Mapped[str] = mapped_column(String(32))
    time: Mapped[datetime]
    revision: Mapped[str] = mapped_column(String(32))
