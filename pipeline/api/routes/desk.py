"""The desk of who works on tickets: how many wait, one's views, the notes of shifts; and how the mirrors are."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from pipeline.access import log
from pipeline.access.permissions import scope_for
from pipeline.api.door import Entered, Key
from pipeline.api.paging import Asked, place_in, read_cursor, write_cursor
from pipeline.api.route import route
from pipeline.api.routes.tickets import Number, TicketsAsked, filters_of
from pipeline.api.shapes import shape_of
from pipeline.model.errors import NotFoundError, UsageError
from pipeline.tickets import life, queue, saved_views, shift
from pipeline.tickets.deeds import once
from pipeline.tickets.outbox import rows as outbox
from pipeline.tickets.timeline import timeline

router = APIRouter(tags=["desk"])
Counts = shape_of(queue.Tally, name="Counts")
View = shape_of(saved_views.View, name="SavedView")
HandOver = shape_of(shift.Note, name="HandOver")
MirrorStanding = shape_of(outbox.Standing, name="MirrorStanding", kind=str, proven=bool)
DeadDeed = shape_of(outbox.Dead, name="DeadDeed")
Text = Annotated[str, Field(min_length=1, max_length=life.MAX_TEXT)]


@route(router, "GET", "/tickets/counts", "ticket.read", errors=(404,), response_model=Counts)
def counts(caller: Entered, asked: Annotated[TicketsAsked, Query()]) -> Any:
    """Of the open tickets that the filters leave (whatever they say of status, owner and alert): all, those that
    nobody has, that you have, that wait, that are overdue."""
    return queue.tally(caller.state, caller.actor, filters_of(asked, caller))


class Timeline(BaseModel):
    """Events of the ticket's entity, the newest first. `own`: ids of events that the ticket's findings show; `cut`:
    the ticket spans more than two weeks, of which these are the last; `query` finds them in `/events`."""

    number: int
    entity: str
    query: str
    start: datetime
    stop: datetime
    cut: bool
    own: list[str]
    items: list[dict[str, Any]]
    next: str | None


class OnlyCursor(BaseModel):
    model_config = ConfigDict(extra="forbid")

    cursor: Annotated[str, Query(max_length=400, description="`next` of the page before.")] = ""


@route(
    router, "GET", "/tickets/{number}/timeline", "event.search", errors=(404,), response_model=Timeline
)  # fmt: skip
def around(caller: Entered, number: Number, asked: Annotated[OnlyCursor, Query()]) -> Any:
    """What the ticket's entity did, whatever source says so: an hour before its first event to an hour after its
    last, 50 events at a time."""
    after = read_cursor(asked.cursor)
    found = timeline(caller.state, caller.store, caller.actor, str(number), after=after)
    return {
        "number": found.number, "entity": found.entity, "query": found.query, "start": found.start,
        "stop": found.stop, "cut": found.cut, "own": sorted(found.own), "items": found.documents,
        "next": write_cursor(found.next),
    }  # fmt: skip


class Views(BaseModel):
    items: list[View]  # type: ignore[valid-type]


class Keeping(BaseModel):
    """`query`: filters of `/tickets` as they stand behind the question mark of its address."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=60)]
    query: Annotated[str, Field(max_length=1_000)] = ""


@route(router, "GET", "/views", "ticket.read", response_model=Views)
def views(caller: Entered) -> Any:
    """Your names for filters of the queue. A token has views of its own."""
    return {"items": saved_views.views_of(caller.state, caller.actor)}


@route(router, "PUT", "/views", "ticket.read", errors=(409, 413, 415), response_model=Views)
def keep_view(caller: Entered, said: Keeping) -> Any:
    """Keep filters under a name, in place of what was kept under it; all views as they are then."""
    saved_views.save_view(
        caller.state, caller.actor, name=said.name, query=said.query, now=caller.now
    )
    return views(caller)


@route(router, "DELETE", "/views", "ticket.read", response_model=Views)
def drop_view(caller: Entered, name: Annotated[str, Query(max_length=60)]) -> Any:
    """Forget a view; one that is not there is forgotten already."""
    saved_views.drop_view(caller.state, caller.actor, name)
    return views(caller)


class HandOvers(BaseModel):
    items: list[HandOver]  # type: ignore[valid-type]


class HandingOver(BaseModel):
    """`tickets`: numbers; those that are yours and open go to `to` (a person's id), or back to the queue."""

    model_config = ConfigDict(extra="forbid")

    text: Text
    to: Annotated[str, Field(max_length=64)] = ""
    tickets: Annotated[list[Annotated[int, Field(ge=1, le=10**15 - 1)]], Field(max_length=200)] = []


class HandedOver(BaseModel):
    """The numbers of the tickets that went."""

    tickets: list[int]


@route(router, "GET", "/hand-overs", "ticket.read", response_model=HandOvers)
def hand_overs(
    caller: Entered, limit: Annotated[int, Query(ge=1, le=100, description="At most so many.")] = 10
) -> Any:
    """What shifts told the next, the newest first. Who is held to some agencies reads none."""
    return {"items": shift.hand_overs(caller.state, caller.actor, limit=limit)}


@route(
    router, "POST", "/hand-overs", "ticket.claim", errors=(404, 409, 413, 415), response_model=HandedOver
)  # fmt: skip
def hand_over(caller: Entered, key: Key, said: HandingOver) -> Any:
    """End your shift: a note for the next, and what becomes of your open tickets."""
    went = shift.hand_over(
        caller.state, caller.actor, text=said.text, to=said.to, numbers=said.tickets, key=key,
        now=caller.now,
    )  # fmt: skip
    return {"tickets": went}


class Mirrors(BaseModel):
    items: list[MirrorStanding]  # type: ignore[valid-type]


class DeadDeeds(BaseModel):
    items: list[DeadDeed]  # type: ignore[valid-type]
    next: str | None


class Replaying(BaseModel):
    """One dead deed by `id`, or all of a `mirror`."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[int | None, Field(ge=1, le=10**15 - 1)] = None
    mirror: Annotated[str, Field(max_length=64)] = ""


class Replayed(BaseModel):
    replayed: int


@route(router, "GET", "/mirrors", "operation.read", response_model=Mirrors)
def mirrors(caller: Entered) -> Any:
    """How each mirror is. `proven` false: built to its description, not yet run against the real system."""
    kinds = outbox.known_mirrors(caller.state)
    found = outbox.standings(caller.state, sorted(kinds))
    names = outbox.Standing.__slots__
    return {
        "items": [{n: getattr(one, n) for n in names} | kinds[one.mirror] for one in found]
    }  # fmt: skip


class DeadAsked(Asked):
    mirror: Annotated[str, Query(max_length=64)] = ""


@route(router, "GET", "/mirrors/dead", "operation.read", response_model=DeadDeeds)
def dead(caller: Entered, asked: Annotated[DeadAsked, Query()]) -> Any:
    """Deeds that a mirror refused, or whose outcome stayed unknown for too long."""
    scope = scope_for(caller.actor, "operation.read")
    rows = outbox.dead_rows(
        caller.state, mirror=asked.mirror, limit=asked.limit + 1, after=place_in(asked.cursor) - 1,
        agencies=scope.agencies,
    )  # fmt: skip
    more = len(rows) > asked.limit
    following = str(rows[asked.limit - 1].id + 1) if more else None
    return {"items": rows[: asked.limit], "next": write_cursor(following)}


@route(
    router, "POST", "/mirrors/replay", "mirror.replay", errors=(404, 409, 413, 415),
    response_model=Replayed,
)  # fmt: skip
def send_again(caller: Entered, key: Key, said: Replaying) -> Any:
    """Put dead deeds back; each is looked up over there before it is sent."""
    if said.id is None and not said.mirror:
        raise UsageError("which deeds?", expected="an id or a mirror")
    scope = scope_for(caller.actor, "mirror.replay")

    def deed(session: Session) -> dict[str, int]:
        count = outbox.replay_in(
            session, mirror=said.mirror, row=said.id, agencies=scope.agencies, now=caller.now
        )
        if said.id is not None and not count:
            raise NotFoundError("there is no such dead deed", got=str(said.id))
        detail = f"{said.mirror or said.id}: {count}"
        log.record(session, caller.actor.name, "mirror replayed", detail, now=caller.now)
        return {"replayed": count}

    what = ("replay", said.mirror, str(said.id))
    return once(caller.state, caller.actor, key, what, deed, now=caller.now)
