"""Who comes in, how often, and with what: the checks before any route.

In: ``Authorization: Bearer tct_…``, or the console's session cookie. Out: a `Caller`. Invariants: nobody gets
further without one; a session writes only with the seal of its forms in ``X-Seal`` (another site can send a cookie,
not a header); a token is read anew at each request, so what was revoked is shut out at once; each caller has so
many requests a minute, each address so many refused ones.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Protocol

from fastapi import Depends, Header, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.access import sessions, tokens
from pipeline.access.hashing import same
from pipeline.access.limiter import Limiter
from pipeline.access.permissions import require
from pipeline.api.body import read_body
from pipeline.api.fresh import Fresh
from pipeline.api.gathered import Gathered
from pipeline.model.errors import ForbiddenError, UsageError
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.store.base import SearchableStore as Store
from pipeline.tickets.attachments import Shelf
from pipeline.tickets.deeds import Outcome

MAX_BODY: Final = 65_536
READS: Final = ("GET", "HEAD")
_REFUSED: Final = 30
_REFUSED_SPAN: Final = timedelta(minutes=5)


class Printer(Protocol):
    """How evidence is set for paper; the console knows."""

    def __call__(self, body: Mapping[str, Any], actor: Actor, *, language: str) -> str: ...


@dataclass(frozen=True)
class Gate:
    """What all requests share. `cookie` is the name of the console's session cookie."""

    state: State
    store: Store
    clock: Callable[[], datetime]
    cookie: str
    per_minute: int
    shelf: Shelf
    printer: Printer
    requests: Limiter = field(init=False)
    refusals: Limiter = field(init=False)
    fresh: Fresh = field(default_factory=Fresh)
    tokens: Gathered[str, Actor | None] = field(init=False)
    deeds: Gathered[Callable[[], Outcome], Outcome] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "requests", Limiter(self.per_minute, timedelta(minutes=1)))
        object.__setattr__(self, "refusals", Limiter(_REFUSED, _REFUSED_SPAN))
        object.__setattr__(self, "tokens", Gathered(self._resolve))
        object.__setattr__(self, "deeds", Gathered(self._do))

    def _resolve(self, texts: Sequence[str]) -> list[Actor | None]:
        return tokens.resolve_all(self.state, texts, now=self.clock())

    def _do(self, deeds: Sequence[Callable[[], Outcome]]) -> list[Outcome | Exception]:
        return self.state.together(deeds)

    def actor_of(self, request: Request) -> tuple[Actor | None, str]:
        """Who it is now, with the seal of their forms (a session's; empty for a token)."""
        text, now = token_of(request), self.clock()
        if text is not None:
            return tokens.resolve(self.state, text, now=now), ""
        signed = sessions.resume(
            self.state, request.cookies.get(self.cookie, ""), now=now, touch=False
        )
        return (signed.actor, signed.csrf) if signed else (None, "")

    async def known(self, request: Request) -> tuple[Actor | None, str]:
        """The same for a request that has just come: tokens that come together are looked up together."""
        text = token_of(request)
        if text is not None:
            return await self.tokens(text), ""
        return await run_in_threadpool(self.actor_of, request)


def token_of(request: Request) -> str | None:
    """The text of the token; empty when it is something else; None without any."""
    given = request.headers.get("authorization")
    if given is None:
        return None
    scheme, _, text = given.partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


@dataclass(frozen=True)
class Caller:
    """Who asks, and what they ask of."""

    gate: Gate
    actor: Actor
    now: datetime

    @property
    def state(self) -> State:
        return self.gate.state

    @property
    def store(self) -> Store:
        return self.gate.store


async def enter(
    request: Request, x_seal: Annotated[str | None, Header(include_in_schema=False)] = None
) -> Caller:
    gate: Gate = request.app.state.gate
    now = gate.clock()
    address = request.client.host if request.client else ""
    actor, seal = await gate.known(request)
    if actor is None:
        if not gate.refusals.allow(address, now=now):
            raise HTTPException(429, "too many refused requests", {"Retry-After": "300"})
        raise HTTPException(
            401, "a token or a session is needed", {"WWW-Authenticate": 'Bearer realm="thapcanh"'}
        )
    if not gate.requests.allow(actor.name, now=now):
        raise HTTPException(429, "too many requests", {"Retry-After": "10"})
    caller = Caller(gate, actor, now)
    request.state.caller = caller
    if actor.kind == "person" and request.method not in READS and not same(x_seal or "", seal):
        raise ForbiddenError("a session writes with the seal of its forms", where="X-Seal")
    return caller


Entered = Annotated[Caller, Depends(enter)]


def permits(permission: str) -> Callable[[Caller], Awaitable[None]]:
    """A dependency that lets pass who may do that over any agency at all."""

    async def check(caller: Entered) -> None:  # reckons only: no thread for it
        require(caller.actor, permission, None)

    return check


async def seen_revision(
    if_match: Annotated[
        str | None,
        Header(
            alias="If-Match",
            max_length=40,
            description='The `ETag` of the ticket as you saw it (`"3"`); `*` for whatever it is. 428 without.',
        ),
    ] = None,
) -> int | None:
    """The revision of `If-Match`; None for ``*``."""
    if if_match is None:
        raise HTTPException(
            428, "a deed needs If-Match: the ETag of the ticket as you saw it, or *"
        )
    text = if_match.strip()
    if text == "*":
        return None
    number = text[1:-1] if len(text) > 2 and text[0] == text[-1] == '"' else ""
    if not number.isascii() or not number.isdigit() or len(number) > 15:
        raise UsageError("If-Match is no ETag of a ticket", got=repr(text), expected='"3" or *')
    return int(number)


Seen = Annotated[int | None, Depends(seen_revision)]
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=100,
        pattern=r"^[!-~]+$",
        description="Made by you, one per deed: a repeat under it gets the first answer for seven days.",
    ),
]


UPLOADS: Final = re.compile(r"/api/v1/tickets/[0-9]+/files")
"""Addresses that take files: their bodies are read once it is known who sends them."""


class Fence:
    """ASGI middleware: a limit on every body, JSON alone (save on `UPLOADS`), and headers that keep answers from
    caches and frames."""

    def __init__(
        self, app: ASGIApp, *, secure: bool, refuse: Callable[[int, str], ASGIApp]
    ) -> None:
        self.app, self.secure, self.refuse = app, secure, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
                headers["X-Content-Type-Options"] = "nosniff"
                policy = "default-src 'none'; frame-ancestors 'none'"
                headers.setdefault("Content-Security-Policy", policy)
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                headers["Referrer-Policy"] = "no-referrer"
                if self.secure:
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        kind = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
        files = kind == "multipart/form-data" and UPLOADS.fullmatch(scope["path"])
        if scope["method"] in READS or files:
            await self.app(scope, receive, dressed)
            return
        body = await read_body(receive, MAX_BODY)
        if body is None:
            refusal = self.refuse(413, f"a body has up to {MAX_BODY:,} bytes")
            await refusal(scope, receive, dressed)
            return
        if body and kind != "application/json":
            await self.refuse(415, "a body is application/json")(scope, receive, dressed)
            return
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, dressed)
