"""Deeds on tickets: by compare-and-set (`If-Match`), each once (`Idempotency-Key`), one by one or many at once.

    POST /api/v1/tickets/17/claim          If-Match: "3"          Idempotency-Key: 8e1f…

The deeds are those of the console and the command line; this file gives them words (`Words`) and an address. A
deed whose words lack what it needs is refused by the deed itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from pipeline.api.door import Caller, Entered, Key, Seen
from pipeline.api.problems import Problem, problem_of
from pipeline.api.route import route
from pipeline.api.routes.tickets import ETAG, Number
from pipeline.api.shapes import shape_of
from pipeline.model.errors import ThapCanhError, UsageError
from pipeline.model.tickets import ClosingReason, Tlp
from pipeline.tickets import facts, life
from pipeline.tickets.clocks import incident
from pipeline.tickets.deeds import Outcome, Request

router = APIRouter(tags=["deeds"])
MOST: Final = 100
Text = Annotated[str, Field(max_length=life.MAX_TEXT)]
Short = Annotated[str, Field(max_length=96)]
Done = shape_of(Outcome, name="Outcome")
REASONS: Final = [r.value for r in ClosingReason if r is not ClosingReason.RECOVERED]


class Words(BaseModel):
    """Nothing is said."""

    model_config = ConfigDict(extra="forbid")


class Noted(Words):
    """A note, where one is wanted."""

    note: Text = ""


class Because(Words):
    """Why; it stays in the history."""

    note: Annotated[str, Field(min_length=1, max_length=life.MAX_TEXT)]


class Assigning(Noted):
    to: Annotated[str, Field(max_length=64, description="A person's id.")]


class Waiting(Because):
    whom: Literal["agency", "supplier"]


class Saying(Words):
    text: Annotated[str, Field(min_length=1, max_length=life.MAX_TEXT, description="Markdown.")]


class Closing(Because):
    reason: Annotated[str, Field(max_length=40, json_schema_extra={"enum": REASONS})]
    duplicate_of: int | None = Field(default=None, ge=1, le=10**15 - 1)


class Merging(Noted):
    into: int = Field(ge=1, le=10**15 - 1, description="The number of the other ticket.")


class Tagging(Words):
    tag: Annotated[str, Field(min_length=1, max_length=40)]
    on: bool = True


class Limiting(Words):
    tlp: Tlp


class Ticking(Words):
    step: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", description="The step's key.")]
    done: bool = True


class Grading(Because):
    severity: Literal["", "informational", "low", "medium", "high", "critical"] = Field(
        description="Empty gives it back to the findings."
    )


class Marking(Because):
    sign: Short
    seen: bool = True


class Notifying(Words):
    clock: Short
    recipient: Annotated[str, Field(min_length=1, max_length=2_000)]


Deed = Callable[[Caller, Request, Any], Outcome]


def _claim(c: Caller, r: Request, _: Words) -> Outcome:
    return life.claim(c.state, r, now=c.now)


def _release(c: Caller, r: Request, w: Noted) -> Outcome:
    return life.release(c.state, r, note=w.note, now=c.now)


def _assign(c: Caller, r: Request, w: Assigning) -> Outcome:
    return life.assign(c.state, r, to=w.to, note=w.note, now=c.now)


def _take_over(c: Caller, r: Request, w: Because) -> Outcome:
    return life.take_over(c.state, r, reason=w.note, now=c.now)


def _start(c: Caller, r: Request, _: Words) -> Outcome:
    return life.start(c.state, r, now=c.now)


def _wait(c: Caller, r: Request, w: Waiting) -> Outcome:
    return life.wait_for(c.state, r, whom=w.whom, note=w.note, now=c.now)


def _comment(c: Caller, r: Request, w: Saying) -> Outcome:
    return life.comment(c.state, r, text=w.text, now=c.now)


def _close(c: Caller, r: Request, w: Closing) -> Outcome:
    other = "" if w.duplicate_of is None else str(w.duplicate_of)
    return life.close(c.state, r, reason=w.reason, note=w.note, duplicate_of=other, now=c.now)


def _reopen(c: Caller, r: Request, w: Because) -> Outcome:
    return life.reopen(c.state, r, note=w.note, now=c.now)


def _merge(c: Caller, r: Request, w: Merging) -> Outcome:
    return facts.merge(c.state, r, into=str(w.into), note=w.note, now=c.now)


def _unmerge(c: Caller, r: Request, w: Because) -> Outcome:
    return facts.unmerge(c.state, r, note=w.note, now=c.now)


def _tag(c: Caller, r: Request, w: Tagging) -> Outcome:
    return facts.tag(c.state, r, tag=w.tag, on=w.on, now=c.now)


def _tlp(c: Caller, r: Request, w: Limiting) -> Outcome:
    return facts.set_tlp(c.state, r, tlp=w.tlp.value, now=c.now)


def _check(c: Caller, r: Request, w: Ticking) -> Outcome:
    return facts.check(c.state, r, step=w.step, done=w.done, now=c.now)


def _severity(c: Caller, r: Request, w: Grading) -> Outcome:
    return facts.set_severity(c.state, r, severity=w.severity, reason=w.note, now=c.now)


def _sign(c: Caller, r: Request, w: Marking) -> Outcome:
    return incident.mark(c.state, r, sign=w.sign, seen=w.seen, reason=w.note, now=c.now)


def _notified(c: Caller, r: Request, w: Notifying) -> Outcome:
    return incident.notified(c.state, r, clock=w.clock, recipient=w.recipient, now=c.now)


DEEDS: Final[dict[str, tuple[str, type[Words], Deed, str]]] = {
    "claim": ("ticket.claim", Words, _claim, "Take a free ticket."),
    "release": ("ticket.claim", Noted, _release, "Give your ticket back to the queue."),
    "take-over": ("ticket.claim", Because, _take_over, "Take a ticket that another holds."),
    "assign": ("ticket.assign", Assigning, _assign, "Give a ticket to a person."),
    "start": ("ticket.claim", Words, _start, "Begin, or go on with, the work on your ticket."),
    "wait": ("ticket.claim", Waiting, _wait, "Wait for an answer; the note is what is asked."),
    "comment": ("ticket.comment", Saying, _comment, "Say something; an officer's answers."),
    "close": ("ticket.close", Closing, _close, "End a ticket, with a reason and a note."),
    "reopen": ("ticket.reopen", Because, _reopen, "Put a closed ticket back into the queue."),
    "merge": ("ticket.merge", Merging, _merge, "Close as a duplicate of another ticket."),
    "unmerge": ("ticket.merge", Because, _unmerge, "Part it from what it is a duplicate of."),
    "tag": ("ticket.claim", Tagging, _tag, "Put a word on a ticket, or take it off."),
    "tlp": ("ticket.claim", Limiting, _tlp, "Say how far its content may go (TLP 2.0)."),
    "check": ("ticket.claim", Ticking, _check, "Tick a step of the checklist, or untick it."),
    "severity": ("ticket.claim", Grading, _severity, "Override the severity."),
    "sign": ("ticket.claim", Marking, _sign, "Say what the incident shows: legal clocks follow."),
    "notified": ("ticket.claim", Notifying, _notified, "A notice that a legal clock waits for went."),
}  # fmt: skip
"""Name → permission, what is said, what is done, and what that is in a sentence."""


def _attach(name: str, permission: str, words: type[Words], deed: Deed, summary: str) -> None:
    bare = not any(field.is_required() for field in words.model_fields.values())

    async def do(
        caller: Entered, number: Number, seen: Seen, key: Key, said: Any = None
    ) -> Response:
        asked = Request(actor=caller.actor, ticket=str(number), revision=seen, key=key)
        done = await caller.gate.deeds(
            partial(deed, caller, asked, words() if said is None else said)
        )
        tag = {"ETag": f'"{done.revision}"'}
        return Response(msgspec.json.encode(done), media_type="application/json", headers=tag)

    # FastAPI reads the body's form from here; a deed that needs no words takes no body, too.
    do.__annotations__["said"] = (words | None) if bare else words
    if not bare:
        do.__defaults__ = (...,)
    route(
        router, "POST", f"/tickets/{{number}}/{name}", permission, errors=(404, 409, 412, 413, 415, 428),
        response_model=Done, responses=ETAG, summary=summary, name=name, operation_id=f"ticket_{name}",
    )(do)  # fmt: skip


for _name, _parts in DEEDS.items():
    _attach(_name, *_parts)


class Chosen(BaseModel):
    """A ticket as it was seen; without a revision, whatever it is."""

    model_config = ConfigDict(extra="forbid")

    number: int = Field(ge=1, le=10**15 - 1)
    revision: int | None = Field(default=None, ge=1, le=10**15 - 1)


class Many(BaseModel):
    """One deed on many tickets. `words` are the body of the deed done alone."""

    model_config = ConfigDict(extra="forbid")

    deed: Literal["claim", "release", "assign", "close", "tag", "merge", "reopen", "tlp"]
    tickets: list[Chosen] = Field(min_length=1, max_length=MOST)
    words: dict[str, Any] = {}


class Result(BaseModel):
    """What became of one ticket: `outcome`, or `problem`."""

    number: int
    outcome: Done | None = None  # type: ignore[valid-type]
    problem: Problem | None = None


class Results(BaseModel):
    """`done` of the tickets; the rest have their problem."""

    done: int
    items: list[Result]


@route(router, "POST", "/tickets/bulk", "ticket.claim", errors=(413, 415), response_model=Results)
def many(caller: Entered, key: Key, said: Many) -> Any:
    """The same deed on up to 100 tickets, each with an outcome of its own; 200 even where some were refused."""
    from pydantic import ValidationError

    _, words, deed, _ = DEEDS[said.deed]
    try:
        fitted = words.model_validate(said.words)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["words", *(str(part) for part in first["loc"])])
        raise UsageError("the deed needs other words", where=where, got=first["msg"]) from None
    items = [
        _one(caller, deed, fitted, one, key) for one in {c.number: c for c in said.tickets}.values()
    ]
    return {"done": sum("outcome" in item for item in items), "items": items}


def _one(caller: Caller, deed: Deed, words: Words, chosen: Chosen, key: str) -> dict[str, Any]:
    asked = Request(
        actor=caller.actor, ticket=str(chosen.number), revision=chosen.revision,
        key=f"{key}:{chosen.number}",
    )  # fmt: skip
    try:
        return {"number": chosen.number, "outcome": deed(caller, asked, words)}
    except ThapCanhError as error:
        return {"number": chosen.number, "problem": problem_of(error)}
