"""The console as an ASGI application.

In: the state, the store and where people reach it. Out: a Starlette application, for uvicorn.
Invariant: every page goes through `pages.answer`, which demands a session, a seal on every POST and the
page's permission; what is not listed in `pages.PAGES` is not served, save the files in ``static/``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from pipeline.access.limiter import Limiter
from pipeline.console import catalogues, templating
from pipeline.console.guard import Guard
from pipeline.console.pages import PAGES, endpoint, not_served
from pipeline.console.visit import Console
from pipeline.detect.reads.standing import RuleJudge
from pipeline.model.clock import utc_now
from pipeline.settings.values import CollectSettings, HealthSettings
from pipeline.state.state import State
from pipeline.store.base import SearchableStore as Store
from pipeline.tickets.attachments import Shelf


def create_app(
    state: State,
    store: Store,
    *,
    shelf: Shelf,
    public_url: str = "",
    cache: Path | None = None,
    collect: CollectSettings | None = None,
    health: HealthSettings | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Starlette:
    """`public_url` is ``console.public_url`` of the settings: with https it makes cookies secure."""
    words = catalogues.load_all()
    console = Console(
        state=state,
        store=store,
        catalogues=words,
        templates={key: templating.environment(one) for key, one in words.items()},
        clock=clock,
        sign_ins=Limiter(30, timedelta(minutes=5)),
        refusals=Limiter(30, timedelta(minutes=5)),
        rules=RuleJudge(state, cache),
        secure=public_url.startswith("https:"),
        shelf=shelf,
        collect=collect or CollectSettings(),
        health=health or HealthSettings(),
    )
    routes: list[Route | Mount] = [
        Mount("/static", _Static(directory=templating.FOLDER / "static"))
    ]
    for page in PAGES:
        methods = [page.method] if page.method == "POST" else ["GET", "HEAD"]
        routes.append(Route(page.path, endpoint(console, page), methods=methods))
    routes.append(Route("/{rest:path}", not_served(console), methods=["GET", "HEAD", "POST"]))
    app = Starlette(routes=routes, middleware=[Middleware(Guard, public_url=public_url)])
    app.state.rules = console.rules
    return app


class _Static(StaticFiles):
    """Files whose address names their content: browsers may keep them."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def kept(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (200, 304):
                message["headers"].append(
                    (b"cache-control", b"public, max-age=31536000, immutable")
                )
            await send(message)

        await super().__call__(scope, receive, kept)
