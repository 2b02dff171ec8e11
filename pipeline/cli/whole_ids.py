"""The whole id of a rule or an exception of which the first characters were given."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.serve.installation import Installation


def whole_rule(here: Installation, text: str) -> str:
    """Of a living or retired rule; raises NotFoundError, or UsageError where several begin so."""
    import sqlalchemy as sa

    from pipeline.state.prefix import by_prefix
    from pipeline.state.tables.rules import RuleRow

    with here.state.read() as session:
        return str(by_prefix(session, sa.select(RuleRow.id), RuleRow.id, text, "rule")[0])


def whole_exception(here: Installation, text: str) -> str:
    """The same of an exception."""
    import sqlalchemy as sa

    from pipeline.state.prefix import by_prefix
    from pipeline.state.tables.rules import ExceptionRow

    with here.state.read() as session:
        query = sa.select(ExceptionRow.id)
        return str(by_prefix(session, query, ExceptionRow.id, text, "exception")[0])
