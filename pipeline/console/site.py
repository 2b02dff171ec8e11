"""The console and the REST interface under one address: ``/api/v1`` is the one, all else the other.

They share the state and the session's cookie, and nothing else: the console's guard knows forms, the interface's
fence knows JSON.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.api import PREFIX
from pipeline.console.app import create_app
from pipeline.console.cookies import SESSION_COOKIE
from pipeline.console.printing import print_ticket
from pipeline.model.clock import utc_now
from pipeline.settings.values import CollectSettings, HealthSettings
from pipeline.state.state import State
from pipeline.store.base import SearchableStore as Store
from pipeline.tickets.attachments import Shelf

logger = logging.getLogger("thapcanh.console")


class Site:
    """An ASGI application of two. The interface is made when it is first asked for, or by `keep_warm`: its libraries take
    a second to load, for which the pages do not wait."""

    def __init__(self, pages: Starlette, make_api: Callable[[], ASGIApp]) -> None:
        self.pages, self._make = pages, make_api
        self._api: ASGIApp | None = None
        self._lock = threading.Lock()

    def api(self) -> ASGIApp:
        with self._lock:
            if self._api is None:
                self._api = self._make()
            return self._api

    def keep_warm(self, stop: threading.Event, every: float = 5.0) -> None:
        """What would keep the first visitor waiting is done before they come, until `stop`: libraries are
        loaded, and thousands of rules are judged again when an import has changed them (`every` seconds)."""
        self.api()
        while True:
            try:
                self.pages.state.rules()
            except Exception as error:  # noqa: BLE001 - the visitor's own request tells it; this goes on
                logger.warning("the rules could not be judged ahead: %s", type(error).__name__)
            if stop.wait(every):
                return

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and (path == PREFIX or path.startswith(f"{PREFIX}/")):
            if self._api is None:
                await run_in_threadpool(self.api)
            await self.api()(scope, receive, send)
        else:
            await self.pages(scope, receive, send)


def create_site(
    state: State,
    store: Store,
    *,
    shelf: Shelf,
    public_url: str = "",
    cache: Path | None = None,
    per_minute: int = 1_200,
    collect: CollectSettings | None = None,
    health: HealthSettings | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Site:
    secure = public_url.startswith("https:")
    pages = create_app(
        state,
        store,
        shelf=shelf,
        public_url=public_url,
        cache=cache,
        collect=collect,
        health=health,
        clock=clock,
    )
    cookie = f"__Host-{SESSION_COOKIE}" if secure else SESSION_COOKIE

    def make_api() -> ASGIApp:
        from pipeline.api.app import create_api

        return create_api(
            state, store, cookie=cookie, shelf=shelf, printer=partial(print_ticket, state),
            secure=secure, per_minute=per_minute, clock=clock,
        )  # fmt: skip

    return Site(pages, make_api)
