"""Agencies and sources, events, figures."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel

from pipeline.access import agencies
from pipeline.access.permissions import scope_for
from pipeline.api.door import Entered
from pipeline.api.paging import Asked, read_cursor, write_cursor
from pipeline.api.route import route
from pipeline.api.shapes import shape_of
from pipeline.model.errors import NotFoundError
from pipeline.sources import health
from pipeline.store.base import TimeRange
from pipeline.tickets import statistics

router = APIRouter(tags=["register"])
Agency = shape_of(agencies.Agency)
Source = shape_of(health.SourceLine, name="Source")
Figures = shape_of(statistics.Figures)
USUAL = timedelta(days=1)


class Agencies(BaseModel):
    items: list[Agency]  # type: ignore[valid-type]


class Sources(BaseModel):
    items: list[Source]  # type: ignore[valid-type]


class Events(BaseModel):
    """Events as nested ECS documents, the newest first."""

    items: list[dict[str, Any]]
    next: str | None


@route(router, "GET", "/agencies", "agency.read", response_model=Agencies)
def list_of_agencies(caller: Entered) -> Any:
    """The agencies within your reach."""
    with caller.state.read() as db:
        return {"items": list(agencies.agencies(db, caller.actor).values())}


@route(router, "GET", "/sources", "source.read", response_model=Sources)
def list_of_sources(caller: Entered) -> Any:
    """Sources with what has come of each and its health, what is not well first."""
    return {"items": health.source_lines(caller.state, caller.actor, now=caller.now)}


@route(router, "GET", "/sources/{source}", "source.read", errors=(404,), response_model=Source)
def one_source(caller: Entered, source: Annotated[str, Path(max_length=64)]) -> Any:
    return health.source_line(caller.state, caller.actor, source, now=caller.now)


class EventsAsked(Asked):
    q: Annotated[str, Query(max_length=4_000, description="Lucene syntax on ECS fields.")] = ""
    start: Annotated[AwareDatetime | None, Query(description="A day ago, if not given.")] = None
    stop: AwareDatetime | None = None


@route(router, "GET", "/events", "event.search", response_model=Events)
def search(caller: Entered, asked: Annotated[EventsAsked, Query()]) -> Any:
    """Search events within your reach; what cannot be answered exactly is refused."""
    scope = scope_for(caller.actor, "event.search")
    when = TimeRange(asked.start or (asked.stop or caller.now) - USUAL, asked.stop)
    found = caller.store.search(
        asked.q, scope=scope, when=when, limit=asked.limit, after=read_cursor(asked.cursor)
    )
    return {"items": found.documents, "next": write_cursor(found.next)}


@route(
    router, "GET", "/events/{event}", "event.search", errors=(404,), response_model=dict[str, Any]
)
def one_event(
    caller: Entered, event: Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="`event.id`")]
) -> Any:
    found = caller.store.get([event], scope=scope_for(caller.actor, "event.search"))
    if not found:
        raise NotFoundError("nothing such")
    return found[0]


@route(router, "GET", "/figures", "ticket.read", response_model=Figures)
def figures(
    caller: Entered, days: Annotated[int, Query(ge=1, le=365, description="7, 30, 90 or 365.")] = 30
) -> Any:
    """The queue in figures: times, backlog, precision, load per rule and agency. Drills are left out."""
    return statistics.figures(caller.state, caller.actor, days=days, now=caller.now)
