"""The lake's manifest: a file without a row here does not exist."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.state.base import Base


class LakeFile(Base):
    """One Parquet file of events of one dataset, sorted by agency and sequence.

    `spans` maps each node to its `[first, last]` sequences that the file may hold (a committed file
    has one node, a compacted one several). `agencies` maps each agency to its rows. `first_time` and
    `last_time` bound `@timestamp`. `number` is the place in the order of commits. `tier`: 0 as
    committed, 1 merged within a receipt hour, 2 one agency's receipt day. `columns` names the
    `LakeSchema`. `resendable`: ids of this file are looked up when records come again. `state`: live,
    replaced (by a compaction, kept until no reader can hold it), expired, lost (damaged and given up:
    the row says what is missing).
    """

    __tablename__ = "lake_file"
    __table_args__ = (
        Index("ix_lake_file_state_dataset", "state", "dataset"),
        Index("ix_lake_file_state_last_time", "state", "last_time"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    path: Mapped[str] = mapped_column(unique=True)
    dataset: Mapped[str] = mapped_column(String(64))
    tier: Mapped[int] = mapped_column(default=0)
    columns: Mapped[str] = mapped_column(String(32))
    resendable: Mapped[bool] = mapped_column(default=False)
    spans: Mapped[dict[str, Any]]
    agencies: Mapped[dict[str, Any]]
    drill: Mapped[bool] = mapped_column(default=False)
    rows: Mapped[int]
    bytes: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    first_time: Mapped[datetime]
    last_time: Mapped[datetime]
    first_created: Mapped[datetime]
    last_created: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16), default="live")
    committed: Mapped[datetime]
    changed: Mapped[datetime]


class LakeSchema(Base):
    """Column names and their Arrow types, as text, by content hash: many files share one."""

    __tablename__ = "lake_schema"

    hash: Mapped[str] = mapped_column(String(32), primary_key=True)
    columns: Mapped[dict[str, Any]]


class LakeSpan(Base):
    """The sequences of one node in one file: what a scan looks files up by."""

    __tablename__ = "lake_span"
    __table_args__ = (Index("ix_lake_span_node_last", "node", "last"),)

    file: Mapped[str] = mapped_column(String(32), primary_key=True)
    node: Mapped[str] = mapped_column(String(64), primary_key=True)
    first: Mapped[int]
    last: Mapped[int]


class Superseded(Base):
    """An event that a replay replaced: left out of search, counts and findings, kept as evidence."""

    __tablename__ = "superseded"

    event: Mapped[str] = mapped_column(String(32), primary_key=True)
    by: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime]


class Hold(Base):
    """A legal hold: events of the agency between the two times are not deleted."""

    __tablename__ = "hold"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    agency: Mapped[str] = mapped_column(String(64), index=True)
    first_time: Mapped[datetime]
    last_time: Mapped[datetime]
    reason: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]
    released: Mapped[datetime | None]
