"""Rules as the installation holds them: every revision ever evaluated stays readable."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.state.base import Base


class RuleRow(Base):
    """A rule by its Sigma id. `origin`: shipped, or the name of an import."""

    __tablename__ = "rule"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    origin: Mapped[str] = mapped_column(String(64))
    path: Mapped[str]
    enabled: Mapped[bool] = mapped_column(default=True)
    off_reason: Mapped[str] = mapped_column(default="")
    revision: Mapped[str] = mapped_column(String(32), index=True)
    schedule: Mapped[str] = mapped_column(String(64), default="main")
    changed: Mapped[datetime]
    retired: Mapped[datetime | None]


class RuleRevision(Base):
    """One text of a rule, named by its content hash. `kind`: rule, correlation, filter."""

    __tablename__ = "rule_revision"

    revision: Mapped[str] = mapped_column(String(32), primary_key=True)
    rule: Mapped[str] = mapped_column(String(64), index=True)
    kind: Mapped[str] = mapped_column(String(16), default="rule")
    title: Mapped[str]
    level: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(Text)
    added: Mapped[datetime]


class Ruleset(Base):
    """A compiled set: content hash of its revisions, the taxonomy and the matcher's version.

    `members` are the revisions that run in it; `unfit` maps those that were active but cannot fire
    here to the reason.
    """

    __tablename__ = "ruleset"

    hash: Mapped[str] = mapped_column(String(32), primary_key=True)
    members: Mapped[list[str]]
    unfit: Mapped[dict[str, Any]] = mapped_column(default=dict)
    taxonomy: Mapped[str] = mapped_column(String(32))
    added: Mapped[datetime]


class ExceptionRow(Base):
    """An approved, expiring filter of some rules. In force for what is received from `approved` until
    `expires`, or `ended` if that comes first. `agencies` empty: all. `backtest`: what it would have hidden."""

    __tablename__ = "exception"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    title: Mapped[str]
    rules: Mapped[list[str]]
    text: Mapped[str] = mapped_column(Text)
    owner: Mapped[str]
    reason: Mapped[str]
    agencies: Mapped[list[str]]
    proposed: Mapped[datetime]
    proposed_by: Mapped[str]
    expires: Mapped[datetime]
    approved: Mapped[datetime | None]
    approved_by: Mapped[str] = mapped_column(default="")
    ended: Mapped[datetime | None]
    ended_by: Mapped[str] = mapped_column(default="")
    end_reason: Mapped[str] = mapped_column(default="")
    backtest: Mapped[dict[str, Any]] = mapped_column(default=dict)


class BacktestRow(Base):
    """What a revision of a rule would have matched, for who switches it on."""

    __tablename__ = "backtest"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    rule: Mapped[str] = mapped_column(String(64), index=True)
    revision: Mapped[str] = mapped_column(String(32))
    found: Mapped[dict[str, Any]]
    by: Mapped[str]
    at: Mapped[datetime]


class RuleChange(Base):
    """Imports and switches, for whoever asks why a rule ran or did not."""

    __tablename__ = "rule_change"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    rule: Mapped[str] = mapped_column(ForeignKey("rule.id"), index=True)
    what: Mapped[str] = mapped_column(String(16))
    old: Mapped[str] = mapped_column(String(32), default="")
    new: Mapped[str] = mapped_column(String(32), default="")
    by: Mapped[str]
    note: Mapped[str] = mapped_column(default="")
    at: Mapped[datetime]


class WatchList(Base):
    """Values that analysts keep for rules to ask by `%name%`. `kind`: address, hash, domain, text."""

    __tablename__ = "watch_list"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    note: Mapped[str] = mapped_column(default="")
    changed: Mapped[datetime]
    dropped: Mapped[datetime | None]


class WatchValue(Base):
    """One value of a watch-list, in the form in which it is compared."""

    __tablename__ = "watch_value"

    of: Mapped[str] = mapped_column(ForeignKey("watch_list.name"), primary_key=True)
    value: Mapped[str] = mapped_column(String(512), primary_key=True)
    note: Mapped[str] = mapped_column(default="")
    by: Mapped[str]
    added: Mapped[datetime]


class WatchChange(Base):
    """Which values came and went, so that what a rule looked for at any time can be told."""

    __tablename__ = "watch_change"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    of: Mapped[str] = mapped_column(ForeignKey("watch_list.name"), index=True)
    added: Mapped[list[str]]
    removed: Mapped[list[str]]
    note: Mapped[str] = mapped_column(default="")
    by: Mapped[str]
    at: Mapped[datetime]
