"""The REST interface as an ASGI application, at ``/api/v1``.

In: the state, the store, the name of the console's session cookie. Out: a FastAPI application whose OpenAPI 3.1
document stands at ``/api/v1/openapi.json``. Invariant: every route but that document names a permission of the
table, and asks it before anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from fastapi import FastAPI
from starlette.middleware import Middleware

from pipeline.api import PREFIX, problems
from pipeline.api.door import Fence, Gate, Printer
from pipeline.api.routes import (
    deeds,
    desk,
    detection,
    files,
    keys,
    learning,
    register,
    stream,
    tickets,
    watching,
)
from pipeline.model.clock import utc_now
from pipeline.state.state import State
from pipeline.store.base import SearchableStore as Store
from pipeline.tickets.attachments import Shelf

_ABOUT: Final = """Tháp Canh's REST interface. Send `Authorization: Bearer tct_…` (a token of
`thapcanh token issue`, or of `POST /tokens`). Deeds take `If-Match` and `Idempotency-Key`; lists give `next`, the
`cursor` of the page after; errors are problem+json (RFC 9457). `x-permission` is the permission that a route takes."""


def create_api(
    state: State,
    store: Store,
    *,
    cookie: str,
    shelf: Shelf,
    printer: Printer,
    secure: bool = False,
    per_minute: int = 1_200,
    clock: Callable[[], datetime] = utc_now,
) -> FastAPI:
    """`per_minute`: requests of one token or person. `secure`: people reach it by https. `shelf`: where files of
    tickets lie. `printer`: how evidence is set for paper."""
    app = FastAPI(
        title="Tháp Canh",
        version="1",
        description=_ABOUT,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[Middleware(Fence, secure=secure, refuse=problems.problem)],
    )
    gate = Gate(state, store, clock, cookie, per_minute, shelf, printer)
    app.state.gate = gate
    app.state.seats = stream.Seats()
    problems.install(app, gate)
    for part in (
        stream,
        deeds,
        files,
        desk,
        tickets,
        detection,
        learning,
        watching,
        register,
        keys,
    ):  # literal paths before {number}
        app.include_router(part.router, prefix=PREFIX)
    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """The shape of problems stands in the document once, and how to come in."""
    plain = app.openapi

    def whole() -> dict[str, object]:
        made = plain()
        parts = made.setdefault("components", {})
        schemas = parts.setdefault("schemas", {})
        reference = "#/components/schemas/{model}"
        shape = problems.Problem.model_json_schema(ref_template=reference)
        schemas.update(shape.pop("$defs", {}))
        schemas["Problem"] = shape
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"token": []}]
        return made

    app.openapi = whole  # type: ignore[method-assign]
