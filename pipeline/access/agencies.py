"""The agencies that an actor may see, by id: for names beside data and for choices in filters."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from pipeline.access.permissions import scope_for
from pipeline.access.scoping import within
from pipeline.model.errors import NotFoundError
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.register import Agency as Row


@dataclass(frozen=True, slots=True)
class Agency:
    """An agency as pages and tables name it."""

    id: str
    name_vi: str
    name_en: str
    level: int
    drill: bool


def agencies(db: Db, actor: Actor) -> dict[str, Agency]:
    rows = db.scalars(
        select(Row).where(within(Row.id, scope_for(actor, "agency.read"))).order_by(Row.name_vi)
    )
    return {row.id: Agency(row.id, row.name_vi, row.name_en, row.level, row.drill) for row in rows}


def unknown(agency: str) -> Agency:
    """An agency that is gone from the register, or that was never in it: named by its id."""
    return Agency(agency, agency, agency, 0, False)


def check_agency(state: State, actor: Actor, agency: str) -> None:
    """NotFoundError where the actor sees no such agency: a filter by a misspelt one finds nothing in silence."""
    with state.read() as db:
        if agency and agency not in agencies(db, actor):
            raise NotFoundError("no such agency", got=agency, remedy="thapcanh agency list")
