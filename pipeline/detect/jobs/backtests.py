"""Results of backtests, kept for whoever switches the rule on: by rule and revision, newest last."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.access.permissions import require, scope_for
from pipeline.model.ids import new_id
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.rules import BacktestRow


def keep_result(
    state: State, actor: Actor, rule: str, revision: str, found: Mapping[str, Any], *, now: datetime
) -> None:
    """Store what a backtest of this revision found."""
    require(actor, "rule.write", None)
    with state.begin() as session:
        session.add(
            BacktestRow(
                id=new_id(), rule=rule, revision=revision, found=dict(found), by=actor.name, at=now
            )
        )


def results_of(state: State, actor: Actor, rule: str) -> list[BacktestRow]:
    """Those of a rule, of all its revisions, the oldest first. They speak of all agencies at once: for who
    sees all."""
    require(actor, "rule.read", None)
    if scope_for(actor, "event.search").agencies is not None:
        return []
    with state.read() as session:
        return list(
            session.scalars(
                sa.select(BacktestRow).where(BacktestRow.rule == rule).order_by(BacktestRow.at)
            )
        )
