"""The beginning of an installation (`admin init`): the centre's own agency and the first administrator.

In: an empty register. Out: a one-time link's secret. No password is made, here or anywhere.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import select

from pipeline.access import links, people
from pipeline.access.permissions import require
from pipeline.model.errors import ConflictError
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.access import Person
from pipeline.state.tables.register import Agency

CENTRE: Final = "soc"
"""The centre's own agency: correlations across agencies and the pipeline's own health belong to it."""


def begin_installation(
    state: State,
    actor: Actor,
    *,
    person: str = "admin",
    name: str = "Quản trị viên",
    now: datetime,
) -> str:
    """Make the agency `soc` (if need be) and the administrator; the link's secret. ConflictError if
    there is an administrator already."""
    require(actor, "person.write", None)
    ensure_centre(state, now=now)
    with state.read() as db:
        first = select(Person.id).where(Person.role == "administrator", Person.disabled.is_(None))
        there = db.scalar(first.order_by(Person.created).limit(1))
    if there is not None:
        raise ConflictError(
            "there is an administrator already",
            got=there,
            remedy=f"thapcanh person link {there} makes a new sign-in link",
        )
    people.add(state, actor, person=person, name=name, role="administrator", now=now)
    return links.issue(state, actor, person, now=now)


def ensure_centre(state: State, *, now: datetime) -> None:
    with state.begin() as db:
        if db.get(Agency, CENTRE) is None:
            db.add(
                Agency(
                    id=CENTRE,
                    name_vi="Trung tâm giám sát an ninh mạng",
                    name_en="Security operations centre",
                    kind="centre",
                    valid_from=now,
                )
            )
