"""The live queue: what has changed comes once, in order, within reach, and ends with the right to read it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message
from support.api_client import V1, Api, Caller
from support.people import analyst, officer
from support.seed_cast import FOREIGN, OWN

from pipeline.access import tokens
from pipeline.api.routes import stream
from pipeline.model.scope import OPERATOR
from pipeline.tickets import changes
from pipeline.tickets.changes import changes_since, place_now
from pipeline.tickets.deeds import Request
from pipeline.tickets.life import claim, comment


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LOOK", 0.01)


class Reader:
    """A stream read as an ASGI server reads it, so that it can go on while the test does deeds."""

    def __init__(self, api: Api, caller: Caller, last: str = "") -> None:
        self.api, self.heard = api, asyncio.Queue[str]()
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.leaving = asyncio.Event()
        headers = [(b"authorization", caller.client.headers["Authorization"].encode())]
        if last:
            headers.append((b"last-event-id", last.encode()))
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
            "path": f"{V1}/tickets/stream", "raw_path": b"", "query_string": b"", "headers": headers,
            "scheme": "http", "server": ("testserver", 80), "client": ("test", 1), "root_path": "",
        }  # fmt: skip
        self.task = asyncio.create_task(api.app(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        await self.leaving.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status.set_result(message["status"])
        elif message.get("body"):
            for part in message["body"].decode().split("\n\n"):
                if "event:" in part:
                    await self.heard.put(part)

    async def next(self) -> tuple[str, str, dict[str, Any]]:
        """(id, event, data)."""
        part = await asyncio.wait_for(self.heard.get(), 20)
        said = dict(line.split(": ", 1) for line in part.splitlines() if ": " in line)
        return said["id"], said["event"], json.loads(said["data"])

    async def leave(self) -> None:
        self.leaving.set()
        await asyncio.wait_for(self.task, 20)


def _claim(api: Api, number: int) -> None:
    claim(api.site.state, Request(actor=analyst(), ticket=str(number)), now=api.site.clock())


def test_a_change_comes_as_it_happens_and_a_reader_goes_on_where_they_left(api: Api) -> None:
    async def watch() -> None:
        reader = Reader(api, caller)
        assert (await reader.next())[1] == "begin"
        _claim(api, 1)
        place, event, data = await reader.next()
        assert (event, data["number"], data["what"], data["owner"]) == (
            "ticket",
            1,
            "claimed",
            "person:an",
        )
        await reader.leave()
        _claim(api, 3)
        again = Reader(api, caller, place)
        assert (await again.next())[1] == "begin"
        assert (await again.next())[2]["number"] == 3
        await again.leave()

    caller = api.by("quan")
    asyncio.run(watch())


def test_a_stream_ends_when_its_token_is_revoked_and_says_nothing_more(api: Api) -> None:
    async def watch() -> None:
        reader = Reader(api, caller)
        await reader.next()
        tokens.revoke(state, OPERATOR, mine, now=api.site.clock())
        _claim(api, 1)
        assert (await reader.next())[1] == "end"
        await asyncio.wait_for(reader.task, 20)

    state, caller = api.site.state, api.by("quan")
    mine = caller.client.headers["Authorization"].removeprefix("Bearer tct_")[:16]
    asyncio.run(watch())


def test_a_person_has_so_many_streams_and_a_seat_is_given_back(api: Api) -> None:
    async def watch() -> None:
        readers = [Reader(api, caller) for _ in range(stream.PER_ACTOR)]
        for reader in readers:
            await reader.next()
        one_more = Reader(api, caller)
        assert await one_more.status == 429
        await readers[0].leave()
        again = Reader(api, caller)
        assert (await again.next())[1] == "begin"
        for reader in (*readers[1:], again):
            await reader.leave()

    caller = api.by("an")
    asyncio.run(watch())


def test_a_reader_who_does_not_keep_up_is_let_go(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def watch() -> None:
        reader = Reader(api, caller)

        async def stuck(message: Message) -> None:
            if message["type"] == "http.response.start":
                reader.status.set_result(message["status"])
                return
            await asyncio.Event().wait()

        reader._send = stuck  # type: ignore[method-assign]
        reader.task.cancel()
        slow = asyncio.create_task(api.app(scope_of(reader), reader._receive, stuck))
        await asyncio.wait_for(slow, 20)

    def scope_of(reader: Reader) -> dict[str, Any]:
        return {
            "type": "http", "method": "GET", "path": f"{V1}/tickets/stream", "raw_path": b"",
            "query_string": b"", "scheme": "http", "server": ("t", 80), "client": ("t", 1),
            "headers": [(b"authorization", caller.client.headers["Authorization"].encode())],
            "http_version": "1.1", "asgi": {"version": "3.0"}, "root_path": "",
        }  # fmt: skip

    monkeypatch.setattr(stream, "PATIENCE", 0.05)
    caller = api.by("an")
    asyncio.run(watch())


def test_each_ticket_comes_once_within_reach_and_nothing_is_told_of_others(api: Api) -> None:
    state, now = api.site.state, api.site.clock()
    begin = place_now(state)
    for text in ("a", "b"):
        for number in (1, 3):
            comment(state, Request(actor=analyst(), ticket=str(number)), text=text, now=now)
    whole = changes_since(state, analyst(), begin)
    assert [(c.number, c.agency, c.what) for c in whole.items] == [
        (1, OWN, "commented"), (3, FOREIGN, "commented"),
    ]  # fmt: skip
    own = changes_since(state, officer("binh", OWN), begin)
    assert [c.number for c in own.items] == [1]
    assert changes_since(state, analyst(), whole.place).items == ()
    assert changes_since(state, analyst(), own.items[0].place).items == whole.items[1:]


def test_who_is_far_behind_is_told_to_look_anew(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    state = api.site.state
    monkeypatch.setattr(changes, "BEHIND", 3)
    told = changes_since(state, analyst(), 0)
    assert (told.items, told.gap, told.place) == ((), True, place_now(state))
    monkeypatch.setattr(changes, "BEHIND", 1_000)
    monkeypatch.setattr(changes, "MOST", 2)
    part = changes_since(state, analyst(), 0)
    rest = changes_since(state, analyst(), part.place)
    assert [len(part.items), part.gap] == [2, False]
    assert min(c.place for c in rest.items) > part.place
