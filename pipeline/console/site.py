"""The console and the REST interface under one address: ``/api/v1`` is the one, all else the other.

They share the state and the session's cookie, and nothing else: the console's guard knows forms, the interface's
fence knows JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.api.app import PREFIX, create_api
from pipeline.console.app import create_app
from pipeline.console.cookies import SESSION_COOKIE
from pipeline.model.clock import utc_now
from pipeline.state.state import State
from pipeline.store.base import SearchableStore as Store
from pipeline.tickets.attachments import Shelf


class Site:
    """An ASGI application of two."""

    def __init__(self, pages: Starlette, api: ASGIApp) -> None:
        self.pages, self.api = pages, api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        ours = scope["type"] == "http" and (path == PREFIX or path.startswith(f"{PREFIX}/"))
        await (self.api if ours else self.pages)(scope, receive, send)


def create_site(
    state: State,
    store: Store,
    *,
    shelf: Shelf,
    public_url: str = "",
    cache: Path | None = None,
    per_minute: int = 1_200,
    clock: Callable[[], datetime] = utc_now,
) -> Site:
    secure = public_url.startswith("https:")
    pages = create_app(state, store, shelf=shelf, public_url=public_url, cache=cache, clock=clock)
    cookie = f"__Host-{SESSION_COOKIE}" if secure else SESSION_COOKIE
    api = create_api(state, store, cookie=cookie, secure=secure, per_minute=per_minute, clock=clock)

    return Site(pages, api)
