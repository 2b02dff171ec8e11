"""A browser without scripts: the console in this process, a clock to turn, forms that are filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from httpx import Response
from starlette.testclient import TestClient
from support.fake_store import FakeStore
from support.seed import cookie, seed
from support.states import empty_state

from pipeline.console.app import create_app
from pipeline.state.state import State
from pipeline.tickets.attachments import Shelf


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def turn(self, span: timedelta) -> None:
        self.now += span


@dataclass
class Site:
    """The console over a seeded state."""

    state: State
    store: FakeStore
    clock: Clock
    public_url: str = ""
    shelf: Shelf = field(default_factory=lambda: Shelf(folder=Path("none")))

    def visitor(self) -> Browser:
        app = create_app(
            self.state, self.store, shelf=self.shelf, public_url=self.public_url, clock=self.clock
        )
        scheme = "https" if self.public_url.startswith("https") else "http"
        client = TestClient(app, base_url=f"{scheme}://testserver", follow_redirects=False)
        return Browser(client)

    def signed(self, person: str) -> Browser:
        browser = self.visitor()
        browser.client.cookies.set("thapcanh_session", cookie(self.state, person, self.clock.now))
        return browser


@dataclass
class Browser:
    client: TestClient

    def get(self, path: str, **headers: str) -> Response:
        return self.client.get(path, headers=headers)

    def seal(self, path: str = "/account") -> str:
        """The seal of the forms on a page."""
        found = re.search(r'name="seal" value="([^"]+)"', self.get(path).text)
        assert found is not None
        return found[1]

    def post(self, path: str, seal_from: str = "/account", **fields: Any) -> Response:
        return self.client.post(path, data={"seal": self.seal(seal_from), **fields})

    def fields(self, page: str, action: str) -> dict[str, str]:
        """The hidden fields of the form with this action."""
        html = self.get(page).text
        form = re.search(
            rf'<form method="post" action="{re.escape(action)}"[^>]*>(.*?)</form>', html, re.DOTALL
        )
        assert form is not None, f"{page} has no form for {action}"
        pairs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[1])
        return {name: unescape(value) for name, value in pairs}

    def send(self, page: str, action: str, **fields: str) -> Response:
        """Fill in the form that the page shows, and send it."""
        return self.client.post(action, data=self.fields(page, action) | fields)


@cache
def _seeded(now: datetime) -> tuple[bytes, Sequence[tuple[dict[str, Any], dict[str, Any]]]]:
    """The seeded state as a file's bytes, made once: a test then starts in milliseconds."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.sqlite"
        state = empty_state(path)
        store = seed(state, now)
        state.close()  # the last connection folds the write-ahead log into the file
        return path.read_bytes(), tuple(store.documents)


@contextmanager
def open_site(path: Path, now: datetime, public_url: str = "") -> Iterator[Site]:
    body, documents = _seeded(now)
    path.write_bytes(body)
    state = State.at(path)
    shelf = Shelf(folder=path.with_name("attachments"), max_bytes=200_000, per_ticket=4)
    yield Site(state, FakeStore.of(documents), Clock(now), public_url, shelf)
    state.close()
