"""The queue live, as server-sent events: each ticket that is new or has changed, within the reader's reach.

    id: 4711
    event: ticket
    data: {"number": 17, "what": "claimed", "revision": 4, "status": "claimed", "owner": "person:an", …}

`event: begin` comes first and says where the stream starts; `event: reload` says that more has happened than is
told. `Last-Event-ID` goes on where a stream broke off. Invariants: who it is, is asked at every look (a session or
token that is revoked ends the stream before another word); one batch is in memory, and a reader who does not take
it in time is let go; each actor has so many streams, the process so many in all; a stream ends by itself after a
while, and the reader comes again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Header, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pipeline.access.permissions import may
from pipeline.api.door import Entered, Gate
from pipeline.api.route import route
from pipeline.tickets.changes import Changes, changes_since, place_now

router = APIRouter(tags=["tickets"])
LOOK: Final = 1.0  # seconds between looks
HEARTBEAT: Final = 15.0
LONGEST: Final = 900.0
PATIENCE: Final = 20.0  # seconds that a reader may take for one batch
PER_ACTOR: Final = 5
IN_ALL: Final = 200


_EVENTS: Final = {"text/event-stream": {"schema": {"type": "string"}}}


class Seats:
    """How many streams each actor has open."""

    def __init__(self, per_actor: int = PER_ACTOR, in_all: int = IN_ALL) -> None:
        self.per_actor, self.in_all = per_actor, in_all
        self._taken: Counter[str] = Counter()

    def take(self, actor: str) -> bool:
        if self._taken[actor] >= self.per_actor or self._taken.total() >= self.in_all:
            return False
        self._taken[actor] += 1
        return True

    def give_back(self, actor: str) -> None:
        self._taken[actor] -= 1
        if not self._taken[actor]:
            del self._taken[actor]


class Live(Response):
    """A response that goes on until its reader leaves, is shut out, does not keep up, or its time is over."""

    media_type = "text/event-stream"

    def __init__(self, words: Callable[[], AsyncIterator[str]], done: Callable[[], None]) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._words, self._done = words, done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}

        async def say() -> None:
            await send(start)
            async for text in self._words():
                part = {"type": "http.response.body", "body": text.encode(), "more_body": True}
                await asyncio.wait_for(send(part), PATIENCE)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        async def leave() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        tasks = [asyncio.create_task(say()), asyncio.create_task(leave())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError, TimeoutError, OSError):
                    await task
            self._done()


@route(
    router, "GET", "/tickets/stream", "ticket.read", response_class=Response,
    responses={200: {"description": "Events until one side ends it.", "content": _EVENTS}},
)  # fmt: skip
async def stream(
    request: Request,
    caller: Entered,
    last_event_id: Annotated[str, Header(max_length=20, pattern="^[0-9]*$")] = "",
) -> Response:
    """New and changed tickets as they come (server-sent events); go on with `Last-Event-ID`."""
    seats: Seats = request.app.state.seats
    name = caller.actor.name
    if not seats.take(name):
        raise HTTPException(429, "too many streams are open", {"Retry-After": "30"})
    return Live(lambda: _words(caller.gate, request, last_event_id), lambda: seats.give_back(name))


async def _words(gate: Gate, request: Request, last_seen: str) -> AsyncIterator[str]:
    now = await run_in_threadpool(place_now, gate.state)
    place = min(int(last_seen), now) if last_seen else now
    yield f"retry: 3000\n{_said('begin', place, {'place': place})}"
    begun = said = time.monotonic()
    while time.monotonic() - begun < LONGEST:
        found = await run_in_threadpool(_look, gate, request, place)
        if found is None:
            yield _said("end", place, {"why": "signed out"})
            return
        parts = [_said("ticket", one.place, msgspec.to_builtins(one)) for one in found.items]
        if found.gap:
            parts.append(_said("reload", found.place, {"place": found.place}))
        place = found.place
        if parts:
            yield "".join(parts)
            said = time.monotonic()
        elif time.monotonic() - said >= HEARTBEAT:
            yield ": the watch goes on\n\n"
            said = time.monotonic()
        await asyncio.sleep(LOOK)


def _look(gate: Gate, request: Request, place: int) -> Changes | None:
    """None where the reader is known no more, or may read no tickets any more."""
    actor, _ = gate.actor_of(request)
    if actor is None or not may(actor, "ticket.read"):
        return None
    return changes_since(gate.state, actor, place)


def _said(event: str, place: int, data: dict[str, Any]) -> str:
    """One event. JSON has no bare line ends, so that `data` is one line whatever a title holds."""
    return f"id: {place}\nevent: {event}\ndata: {msgspec.json.encode(data).decode()}\n\n"
