"""Callers of the API: by token or session, over the state of a `Site`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

from httpx import Response
from starlette.testclient import TestClient
from support.console_client import Site
from support.seed import cookie

from pipeline.access import people, sessions, tokens
from pipeline.access.permissions import permissions_of
from pipeline.api.app import create_api
from pipeline.console.site import create_site

V1 = "/api/v1"
_KEYS = count()


def blank() -> Any:
    """The interface over nothing: for its document."""
    nothing: Any = None
    return create_api(nothing, nothing, cookie="c", shelf=nothing, printer=nothing)


@dataclass
class Api:
    """One application for all callers, so that they share its limits."""

    site: Site
    per_minute: int = 10_000
    _app: Any = field(default=None)

    @property
    def app(self) -> Any:
        if self._app is None:
            self._app = create_site(
                self.site.state, self.site.store, shelf=self.site.shelf, clock=self.site.clock,
                per_minute=self.per_minute,
            )  # fmt: skip
        return self._app

    def stranger(self) -> Caller:
        return Caller(TestClient(self.app, follow_redirects=False, raise_server_exceptions=False))

    def token(
        self,
        person: str,
        permissions: Collection[str] | None = None,
        agencies: Collection[str] = (),
    ) -> str:
        """Of the person themselves, with all that they may, unless told."""
        with self.site.state.read() as db:
            owner = people.read(db, person)
        return tokens.issue(
            self.site.state, owner.actor(), person=person, name="t", agencies=agencies,
            permissions=permissions or permissions_of(owner.role), now=self.site.clock(),
            expires=self.site.clock() + timedelta(days=1),
        )  # fmt: skip

    def by(self, person: str, **narrowed: Collection[str]) -> Caller:
        made = self.stranger()
        made.person = person
        made.client.headers["Authorization"] = f"Bearer {self.token(person, **narrowed)}"
        return made

    def signed(self, person: str, *, sealed: bool = True) -> Caller:
        """A browser's session; `sealed`: with the seal of its forms."""
        made, now = self.stranger(), self.site.clock()
        value = cookie(self.site.state, person, now)
        made.person = person
        made.client.cookies.set("thapcanh_session", value)
        signed = sessions.resume(self.site.state, value, now=now)
        assert signed is not None
        if sealed:
            made.client.headers["X-Seal"] = signed.csrf
        return made


@dataclass
class Caller:
    client: TestClient
    person: str = ""

    def get(self, path: str, **query: Any) -> Response:
        return self.client.get(V1 + path, params=query)

    def deed(
        self, number: int, name: str, words: dict[str, Any] | None = None, *, seen: str = "*",
        key: str = "",
    ) -> Response:  # fmt: skip
        headers = {"If-Match": seen, "Idempotency-Key": key or f"k{next(_KEYS)}"}
        return self.client.post(f"{V1}/tickets/{number}/{name}", json=words, headers=headers)

    def bulk(self, body: dict[str, Any], key: str = "") -> Response:
        headers = {"Idempotency-Key": key or f"k{next(_KEYS)}"}
        return self.client.post(f"{V1}/tickets/bulk", json=body, headers=headers)
