"""One visit: a request with who makes it, in which language, and a way to answer.

In: a Starlette request whose form has been read. Out: rendered pages. Handlers of pages get a `Visit`
and nothing else; its `actor` is the only one there is, and use cases demand it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import jinja2
from markupsafe import Markup
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from pipeline.access.limiter import Limiter
from pipeline.access.permissions import may
from pipeline.access.sessions import Signed
from pipeline.api.fresh import Fresh
from pipeline.console.catalogues import Catalogue
from pipeline.detect.reads.standing import RuleJudge
from pipeline.model.errors import ForbiddenError, UsageError
from pipeline.model.scope import Actor
from pipeline.normalise.additions import products_of
from pipeline.normalise.product import Product
from pipeline.settings.values import CollectSettings, HealthSettings
from pipeline.state.state import State
from pipeline.store.base import SearchableStore as Store
from pipeline.tickets.attachments import Shelf
from pipeline.tickets.notices import unseen


@dataclass(frozen=True)
class Console:
    """What all visits share. `secure`: people reach it by https, so cookies may demand it. `collect`: the listeners that
    senders are told of; `health`: the thresholds of sources without their own."""

    state: State
    store: Store
    catalogues: Mapping[str, Catalogue]
    templates: Mapping[str, jinja2.Environment]
    clock: Callable[[], datetime]
    sign_ins: Limiter
    refusals: Limiter
    rules: RuleJudge
    secure: bool
    shelf: Shelf
    collect: CollectSettings
    health: HealthSettings
    previews: Fresh = field(default_factory=lambda: Fresh(most=20))


@dataclass(frozen=True)
class Visit:
    """`visitor` is the random value of a visitor's cookie: the seal of forms before a session."""

    console: Console
    request: Request
    form: FormData
    signed: Signed | None
    language: str
    visitor: str
    now: datetime

    @property
    def state(self) -> State:
        return self.console.state

    @property
    def store(self) -> Store:
        return self.console.store

    @property
    def products(self) -> dict[str, Product]:
        """The shipped ones and the home's."""
        return products_of(self.state.additions)

    @property
    def actor(self) -> Actor:
        if self.signed is None:
            raise ForbiddenError("nobody is signed in")
        return self.signed.actor

    @property
    def words(self) -> Catalogue:
        return self.console.catalogues[self.language]

    @property
    def seal(self) -> str:
        """What every form carries, and every POST is checked against."""
        from pipeline.access.hashing import hashed

        return self.signed.csrf if self.signed else hashed(f"form {self.visitor}")

    @cached_property
    def here(self) -> str:
        """The address of this page, for coming back to it: a path of our own, with its query."""
        url = self.request.url
        return url.path + (f"?{url.query}" if url.query else "")

    @cached_property
    def unseen(self) -> int:
        """How many notices the reader has not looked at."""
        return unseen(self.state, self.actor) if self.signed else 0

    def query(self, name: str, default: str = "") -> str:
        return self.request.query_params.get(name, default)

    def field(self, name: str) -> str:
        value = self.form.get(name, "")
        return value.replace("\r\n", "\n") if isinstance(value, str) else ""

    def number(self, text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 15:
            raise UsageError("not a number", got=repr(text[:40]))
        return int(text)

    def may(self, permission: str) -> bool:
        return self.signed is not None and may(self.actor, permission)

    def render(self, template: str, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(self.text(template, **values), status)

    def text(self, template: str, **values: Any) -> Markup:
        page = self.console.templates[self.language].get_template(template)
        made = page.render(visit=self, now=self.now, seal=self._seal_field, **values)
        return Markup(made)  # noqa: S704 - the template escaped it

    def _seal_field(self) -> Markup:
        return Markup('<input type="hidden" name="seal" value="{}">').format(self.seal)

    def go(self, path: str) -> Response:
        """After a deed: 303, so that reloading the page repeats nothing."""
        return RedirectResponse(local(path), 303)


def local(path: str) -> str:
    """The path, if it is one of this site; else the front page. ``//evil`` and ``/\\evil`` are not."""
    odd = any(char <= " " or char == "\\" for char in path)
    return path if path.startswith("/") and not path.startswith("//") and not odd else "/"
