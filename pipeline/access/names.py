"""Actors as people know them: ``person:lan`` is *Nguyễn Thị Lan*."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from pipeline.state.tables.access import Person


def person_names(db: Db, actors: Collection[str]) -> dict[str, str]:
    """The names of those actors that are people; whoever has none is not in the answer."""
    ids = {actor.removeprefix("person:") for actor in actors if actor.startswith("person:")}
    rows = db.execute(select(Person.id, Person.name).where(Person.id.in_(sorted(ids))))
    return {f"person:{person}": name for person, name in rows}
