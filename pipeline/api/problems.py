"""Every error as problem+json (RFC 9457), and the description of each in the OpenAPI document.

    {"type": "urn:thapcanh:problem:stale", "title": "Precondition Failed", "status": 412,
     "detail": "the ticket has changed since you saw it", "got": "revision 1",
     "expected": "revision 2, claimed, held by person:an", "remedy": "look at it again, then repeat"}

In: what a use case raised, what a request lacked, or what broke. Out: a response; of what broke, no word but that
it did. A record of another agency and one that is not there give the same 404.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from pipeline.access import log
from pipeline.api.door import Gate
from pipeline.model.errors import (
    ForbiddenError,
    ServiceAwayError,
    StaleError,
    ThapCanhError,
)

logger = logging.getLogger("thapcanh.api")
KIND: Final = "application/problem+json"
_WHY: Final = {
    400: "The words of the request are off.",
    401: "No token or session, or one that is not good any more.",
    403: "The permission table, or what the token was given, says no.",
    404: "Nothing such, or nothing such within reach.",
    405: "The address takes other methods.",
    409: "Somebody else was first, or the record's state does not allow it.",
    412: "The record has changed since `If-Match` was seen; `expected` says who has it.",
    413: "The body is larger than any that is taken.",
    415: "The body is no JSON.",
    422: "The request does not have the form that is described here; `errors` says where.",
    428: "A deed needs `If-Match`.",
    429: "Too many requests, or too many streams; `Retry-After` says when again.",
    503: "A store or a database does not answer; trying again may help.",
}


class Fault(BaseModel):
    """One thing that is off in a request."""

    where: str
    what: str


class Problem(BaseModel):
    """An error (RFC 9457), with what was found, what was expected, and what to do."""

    type: str
    title: str
    status: int
    detail: str
    where: str = ""
    got: str = ""
    expected: str = ""
    remedy: str = ""
    errors: list[Fault] = []


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route."""
    shape = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {status: {"description": _WHY[status], "content": {KIND: shape}} for status in statuses}


def problem(
    status: int, detail: str, *, headers: dict[str, str] | None = None, **more: Any
) -> Response:
    return _response(_made(status, detail, **more), headers)


def _made(status: int, detail: str, *, kind: str = "", **more: Any) -> Problem:
    title = HTTPStatus(status).phrase
    name = kind or title.lower().replace(" ", "-")
    return Problem(
        type=f"urn:thapcanh:problem:{name}", title=title, status=status, detail=detail, **more
    )


def _response(found: Problem, headers: dict[str, str] | None = None) -> Response:
    body = found.model_dump(exclude_defaults=True)
    return JSONResponse(body, found.status, headers, media_type=KIND)


def install(app: FastAPI, gate: Gate) -> None:
    """Handlers for all that can go wrong."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, ThapCanhError)
        if isinstance(error, ForbiddenError):
            await run_in_threadpool(_note, request, gate)
        away = isinstance(error, ServiceAwayError)
        return _response(problem_of(error), {"Retry-After": "5"} if away else None)

    async def unfit(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        faults = [
            Fault(where=".".join(map(_safe, one["loc"])), what=str(one["msg"]))
            for one in error.errors()[:20]
        ]
        return problem(422, "the request has not the form that is described", errors=faults)

    async def plain(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    def broke(request: Request, error: Exception) -> Response:
        logger.error(
            "the API broke: %s %s", request.method, request.url.path, exc_info=error
        )  # its words stay in the log: they may name what the caller must not know
        return problem(500, "something broke; the log of the console says what")

    app.add_exception_handler(ThapCanhError, refused)
    app.add_exception_handler(RequestValidationError, unfit)
    app.add_exception_handler(HTTPException, plain)
    app.add_exception_handler(Exception, broke)


def problem_of(error: ThapCanhError) -> Problem:
    """What a use case raised. What is away is not described: its address is nobody's business out here."""
    status = 412 if isinstance(error, StaleError) else error.http_status
    away = isinstance(error, ServiceAwayError)
    return _made(
        status,
        error.what,
        kind=type(error).__name__.removesuffix("Error").lower(),
        where=_safe(error.where),
        got="" if away else _safe(error.got),
        expected=_safe(error.expected),
        remedy=error.remedy,
    )


def _note(request: Request, gate: Gate) -> None:
    """A refusal is in the access log, as it is when a page refuses."""
    caller = getattr(request.state, "caller", None)
    if caller is None:
        return
    with gate.state.begin() as db:
        detail = f"{request.method} {request.url.path}"
        log.record(db, caller.actor.name, "refused", _safe(detail), now=gate.clock())


def _safe(text: object) -> str:
    return str(text)[:1_000].encode("utf-8", "replace").decode()
