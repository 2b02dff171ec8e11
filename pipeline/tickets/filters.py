"""What of the queue is wanted, as values, and as conditions of a query.

In: filters and a scope. Out: conditions on `ticket`. A value that is none of a filter's own is refused with the
known ones named; the scope is always among the conditions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from pipeline.model.detections import Level
from pipeline.model.errors import UsageError
from pipeline.model.fold import fold_letters
from pipeline.model.scope import Scope
from pipeline.model.tickets import TicketStatus
from pipeline.state.tables.tickets import Ticket, TicketFinding, TicketTag
from pipeline.tickets.entities import entity_key


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What of the queue is wanted; empty means any. `status` may be `open` (anything but closed).

    `owner` is an actor's name, or `-` for tickets that nobody has. `words` are sought in title and entity, whatever
    their case and marks.
    `alert` is `warned` or `breached`: of its most pressing clock.
    """

    status: str = "open"
    agency: str = ""
    severity: str = ""
    at_least: str = ""
    owner: str = ""
    rule: str = ""
    entity: str = ""
    words: str = ""
    tag: str = ""
    alert: str = ""
    drill: bool | None = None


EVERY_OPEN: Final = Filters()


def conditions(filters: Filters, scope: Scope) -> list[sa.ColumnElement[bool]]:
    """All of them hold for a ticket that is wanted and may be seen."""
    where: list[sa.ColumnElement[bool]] = []
    if scope.agencies is not None:
        where.append(Ticket.agency.in_(sorted(scope.agencies)))
    if filters.drill is not None:
        where.append(Ticket.drill == filters.drill)
    return [*where, *_of_state(filters), *_of_content(filters)]


def _of_state(filters: Filters) -> list[sa.ColumnElement[bool]]:
    where: list[sa.ColumnElement[bool]] = []
    if filters.status == "open":
        where.append(Ticket.closed.is_(None))
    elif filters.status:
        where.append(Ticket.status == _one_of(filters.status, [s.value for s in TicketStatus]))
    levels = [level.value for level in Level]
    if filters.severity:
        where.append(Ticket.severity == _one_of(filters.severity, levels))
    if filters.at_least:
        rank = Level(_one_of(filters.at_least, levels)).rank
        where.append(Ticket.severity_rank >= rank)
    if filters.owner:
        where.append(Ticket.owner == ("" if filters.owner == "-" else filters.owner))
    if filters.alert:
        where.append(Ticket.alert == _one_of(filters.alert, ("warned", "breached")))
    return where


def _of_content(filters: Filters) -> list[sa.ColumnElement[bool]]:
    where: list[sa.ColumnElement[bool]] = []
    if filters.rule:
        held = sa.exists().where(
            TicketFinding.ticket == Ticket.id, TicketFinding.rule == filters.rule
        )
        where.append(sa.or_(Ticket.rule == filters.rule, held))
    if filters.agency:
        where.append(Ticket.agency == filters.agency)
    if filters.entity:  # however its case is written; a health ticket's is its source's id
        key = entity_key(filters.entity, "")
        where.append(sa.or_(Ticket.entity_key == key, Ticket.entity == filters.entity))
    if filters.tag:
        where.append(sa.exists().where(TicketTag.ticket == Ticket.id, TicketTag.tag == filters.tag))
    words = fold_letters(filters.words).split()
    return where + [Ticket.sought.contains(word, autoescape=True) for word in words]


def _one_of(value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise UsageError("no such filter value", got=value, expected=", ".join(known))
    return value
