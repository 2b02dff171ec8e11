"""A row by its id, or by a beginning of it that is no other's: what people type."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from pipeline.model.errors import NotFoundError, UsageError

SHORTEST: Final = 6


def by_prefix(
    session: Session,
    query: sa.Select[*tuple[Any, ...]],
    column: InstrumentedAttribute[str],
    text: str,
    what: str,
) -> Any:
    """The one row of the query whose `column` is, or begins with, the text (six characters or more)."""
    exact = session.execute(query.where(column == text)).first()
    if exact is not None:
        return exact
    found = []
    if len(text) >= SHORTEST:
        begins = query.where(column.startswith(text, autoescape=True))
        found = list(session.execute(begins.order_by(column).limit(2)))
    if not found:
        raise NotFoundError(f"no such {what}", got=text)
    if len(found) > 1:
        raise UsageError(
            f"several {what}s begin like this", got=text, remedy="write more of the id"
        )
    return found[0]
