"""A scope as a condition of a query."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from pipeline.model.scope import Scope


def within(column: InstrumentedAttribute[str], scope: Scope) -> sa.ColumnElement[bool]:
    """Rows whose agency the scope allows. An empty scope allows none."""
    return sa.true() if scope.agencies is None else column.in_(sorted(scope.agencies))
