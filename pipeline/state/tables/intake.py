"""Settlement: what became of each receipt, and the letters that could not be read."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.state.base import Base, BigId


class Node(Base):
    """One collector process and its spool folder. `kind`: collect, ingest, replay."""

    __tablename__ = "node"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    created: Mapped[datetime]


class Settlement(Base):
    """The receipts `first` to `last` of a node, of one hour's commits (`at` is the last one's);
    stored + known + refused + dropped = last - first + 1.

    The settled ranges of a node are contiguous from 1: the normaliser settles in order, so that
    `watermark(node)` is the greatest `last`.
    """

    __tablename__ = "settlement"

    node: Mapped[str] = mapped_column(String(64), primary_key=True)
    first: Mapped[int] = mapped_column(primary_key=True)
    last: Mapped[int]
    stored: Mapped[int]
    known: Mapped[int]
    refused: Mapped[int]
    dropped: Mapped[int]
    at: Mapped[datetime]


class FileRange(Base):
    """Bytes `start` to `stop` of a file (by fingerprint) that a source has handed over for good."""

    __tablename__ = "file_range"
    __table_args__ = (UniqueConstraint("source", "fingerprint", "start"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    source: Mapped[str] = mapped_column(String(64))
    fingerprint: Mapped[str] = mapped_column(String(64))
    start: Mapped[int]
    stop: Mapped[int]
    node: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]


class DeadLetterRow(Base):
    """A record that could not be made right. `event` is the hex id of the event that carries it, else
    `body` holds its bytes. `state`: open, replayed, dismissed."""

    __tablename__ = "dead_letter"
    __table_args__ = (
        UniqueConstraint("node", "sequence", "cause"),
        Index("ix_dead_letter_agency_state", "agency", "state"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    node: Mapped[str] = mapped_column(ForeignKey("node.id"))
    sequence: Mapped[int]
    source: Mapped[str] = mapped_column(String(64))
    agency: Mapped[str] = mapped_column(String(64))
    cause: Mapped[str] = mapped_column(String(32))
    message: Mapped[str] = mapped_column(Text)
    received: Mapped[datetime]
    event: Mapped[str] = mapped_column(String(32), default="")
    body: Mapped[bytes | None]
    state: Mapped[str] = mapped_column(String(16), default="open")
