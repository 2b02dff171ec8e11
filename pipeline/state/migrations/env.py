"""Alembic runs this with the connection that `pipeline.state.migrate` put into its attributes."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from pipeline.state.base import UtcTime
from pipeline.state.migrate import METADATA


def _as_stored(kind: str, thing: Any, _context: Any) -> str | Literal[False]:
    """A step names the column's type as stored, so that it does not change with our classes."""
    return "sa.BigInteger()" if kind == "type" and isinstance(thing, UtcTime) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_item=_as_stored,
    render_as_batch=True,  # SQLite alters a table by making it anew
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
