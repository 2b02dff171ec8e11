"""Tokens: issued (to oneself, by a session), listed, revoked; and who one is."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from pipeline.access import tokens
from pipeline.access.permissions import permissions_of
from pipeline.api.door import Entered, Key
from pipeline.api.route import route
from pipeline.api.shapes import shape_of
from pipeline.model.errors import ConflictError
from pipeline.tickets.deeds import once

router = APIRouter(tags=["tokens"])
Token = shape_of(tokens.Token)


class Tokens(BaseModel):
    items: list[Token]  # type: ignore[valid-type]


class Wanted(BaseModel):
    """A token has no more than its person: permissions × agencies (empty: all of theirs) × days."""

    model_config = ConfigDict(extra="forbid")

    person: Annotated[str, Field(max_length=64, description="Whom it acts for.")]
    name: Annotated[str, Field(max_length=100)] = ""
    permissions: Annotated[
        list[Annotated[str, Field(max_length=32)]], Field(min_length=1, max_length=40)
    ]
    agencies: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=500)] = []
    days: Annotated[int, Field(ge=1, le=366)] = 90


class Issued(BaseModel):
    """`token` is shown this once."""

    token: str


@route(router, "GET", "/tokens", "token.issue", response_model=Tokens)
def list_of_tokens(caller: Entered) -> Any:
    """Your tokens, without their secrets; all of them for who may read people."""
    return {"items": tokens.list_tokens(caller.state, caller.actor)}


@route(
    router, "POST", "/tokens", "token.issue", errors=(404, 409, 413, 415), status_code=201,
    response_model=Issued,
)  # fmt: skip
def issue(caller: Entered, key: Key, wanted: Wanted) -> Any:
    """A new token. Only for a session (with `X-Seal`, the seal of its forms): a token makes no tokens. A repeat
    under its key makes no second one. For ten minutes it gets the same answer; the secret is kept nowhere else, so
    that a later one hears which token it was (409), to revoke it."""

    def deed(session: Session) -> dict[str, str]:
        text = tokens.issue_in(
            session, caller.actor, person=wanted.person, name=wanted.name,
            permissions=wanted.permissions, agencies=wanted.agencies,
            expires=caller.now + timedelta(days=wanted.days), now=caller.now,
        )  # fmt: skip
        public = text.split("_")[1]
        caller.gate.fresh.keep(public, text, now=caller.now)
        return {"token": public}

    asked = ("token", wanted.model_dump_json())
    made = once(caller.state, caller.actor, key, asked, deed, now=caller.now)
    text = caller.gate.fresh.get(made["token"], now=caller.now)
    if text is None:
        raise ConflictError(
            "this token was issued before, and its secret is kept nowhere", got=made["token"],
            remedy="revoke it, and issue another under a new key",
        )  # fmt: skip
    return {"token": text}


@route(router, "DELETE", "/tokens/{token}", "token.issue", errors=(404,), response_model=Token)
def revoke(caller: Entered, token: Annotated[str, Path(pattern="^[0-9a-f]{16}$")]) -> Any:
    """At once and for good; doing it twice is harmless."""
    return tokens.revoke(caller.state, caller.actor, token, now=caller.now)


class Self(BaseModel):
    """Who you are here, and what you may do. `agencies` null: all."""

    actor: str
    role: str
    permissions: list[str]
    agencies: list[str] | None


@route(router, "GET", "/me", "ticket.read", response_model=Self)
def me(caller: Entered) -> Any:
    actor = caller.actor
    held = permissions_of(actor.role)
    scope = actor.scope.agencies
    return {
        "actor": actor.name,
        "role": actor.role,
        "permissions": sorted(held if actor.permissions is None else held & actor.permissions),
        "agencies": None if scope is None else sorted(scope),
    }
