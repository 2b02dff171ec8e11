"""What one watches for, and what one is told: watch-lists with their values, and one's own notices."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from pipeline.api.door import Entered, Key
from pipeline.api.keyed import keyed
from pipeline.api.paging import Asked, page_of, place_in, read_cursor
from pipeline.api.route import route
from pipeline.api.shapes import shape_of
from pipeline.detect.register import watchlists
from pipeline.tickets import notices

router = APIRouter(tags=["watching"])
WatchList = shape_of(watchlists.ListLine, name="WatchList")
WatchValue = shape_of(watchlists.ListValue, name="WatchValue")
Notice = shape_of(notices.NoticeView, name="Notice")
Name = Annotated[str, Path(max_length=64)]
Value = Annotated[str, Field(min_length=1, max_length=1_000)]
_WRITES = (404, 409, 413, 415)


class WatchLists(BaseModel):
    items: list[WatchList]  # type: ignore[valid-type]
    next: str | None


class WatchValues(BaseModel):
    items: list[WatchValue]  # type: ignore[valid-type]
    next: str | None


class Changing(BaseModel):
    """Values that come and go; a list that is not there is made (then `kind` is needed)."""

    model_config = ConfigDict(extra="forbid")

    add: Annotated[list[Value], Field(max_length=1_000)] = []
    remove: Annotated[list[Value], Field(max_length=1_000)] = []
    kind: Annotated[str, Field(max_length=20)] = ""
    note: Annotated[str, Field(min_length=1, max_length=2_000)]


class Changed(BaseModel):
    """How many values came, and how many went."""

    added: int
    removed: int


class Dropping(BaseModel):
    model_config = ConfigDict(extra="forbid")

    note: Annotated[str, Field(min_length=1, max_length=2_000)]


class Notices(BaseModel):
    """`unseen` counts all that you have not marked."""

    items: list[Notice]  # type: ignore[valid-type]
    unseen: int
    next: str | None


class Seeing(BaseModel):
    """The `id` of the newest that you have seen."""

    model_config = ConfigDict(extra="forbid")

    upto: Annotated[int, Field(ge=1, le=10**15 - 1)]


class Seen(BaseModel):
    unseen: int


@route(router, "GET", "/watchlists", "watchlist.read", response_model=WatchLists)
def list_of_lists(caller: Entered, asked: Annotated[Asked, Query()]) -> Any:
    """Every list, by name."""
    last = read_cursor(asked.cursor) or ""
    every = watchlists.list_lists(caller.state, caller.actor)
    rest = sorted((one for one in every if one.name > last), key=lambda one: one.name)
    return page_of(rest, asked, lambda one: one.name, begun=True)


@route(
    router, "GET", "/watchlists/{name}", "watchlist.read", errors=(404,), response_model=WatchValues
)
def values(caller: Entered, name: Name, asked: Annotated[Asked, Query()]) -> Any:
    """The values of a list, in order of value."""
    last = read_cursor(asked.cursor) or ""
    every = watchlists.list_values(caller.state, caller.actor, name)
    rest = sorted((one for one in every if one.value > last), key=lambda one: one.value)
    return page_of(rest, asked, lambda one: one.value, begun=True)


@route(
    router, "POST", "/watchlists/{name}", "watchlist.write", errors=_WRITES, response_model=Changed
)
def change(caller: Entered, name: Name, key: Key, said: Changing) -> Any:
    """Add values and take some away, with a note that stays in the list's history."""

    def work() -> dict[str, int]:
        came, went = watchlists.change_list(
            caller.state, caller.actor, name, add=said.add, remove=said.remove, kind=said.kind,
            note=said.note, now=caller.now,
        )  # fmt: skip
        return {"added": came, "removed": went}

    return keyed(caller, key, ("watchlist", name, said.model_dump_json()), work)


@route(
    router, "POST", "/watchlists/{name}/drop", "watchlist.write", errors=_WRITES, response_model=Changed
)  # fmt: skip
def drop(caller: Entered, name: Name, key: Key, said: Dropping) -> Any:
    """Take a list away with its values; its history stays, and rules that ask it cannot fire any more."""

    def work() -> dict[str, int]:
        gone = len(watchlists.list_values(caller.state, caller.actor, name))
        watchlists.drop_list(caller.state, caller.actor, name, note=said.note, now=caller.now)
        return {"added": 0, "removed": gone}

    return keyed(caller, key, ("watchlist_drop", name, said.note), work)


@route(router, "GET", "/notices", "ticket.read", response_model=Notices)
def own_notices(caller: Entered, asked: Annotated[Asked, Query()]) -> Any:
    """Your notices (a token's: those of its person), the newest first."""
    before = place_in(asked.cursor) if asked.cursor else None
    found = notices.notices_of(caller.state, caller.actor, limit=asked.limit + 1, before=before)
    unseen = notices.unseen(caller.state, caller.actor)
    return page_of(found, asked, lambda one: str(one.id), begun=True) | {"unseen": unseen}


@route(router, "POST", "/notices/seen", "ticket.read", errors=_WRITES, response_model=Seen)
def mark_seen(caller: Entered, key: Key, said: Seeing) -> Any:
    """Your notices up to that one are seen; how many are left."""

    def work() -> dict[str, int]:
        notices.mark_seen(caller.state, caller.actor, upto=said.upto, now=caller.now)
        return {}

    keyed(caller, key, ("notices_seen", str(said.upto)), work)
    return {"unseen": notices.unseen(caller.state, caller.actor)}
