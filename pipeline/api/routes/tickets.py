"""Tickets as they stand: the list, one, its history, its evidence."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel

from pipeline.access.agencies import check_agency
from pipeline.access.permissions import scope_for
from pipeline.api.door import Caller, Entered
from pipeline.api.paging import Asked, place_in, read_cursor, write_cursor
from pipeline.api.route import route
from pipeline.api.shapes import shape_of
from pipeline.model.errors import ServiceAwayError
from pipeline.tickets.attachments import AttachmentView
from pipeline.tickets.evidence import canonical, evidence
from pipeline.tickets.filters import Filters
from pipeline.tickets.playbook import steps_of
from pipeline.tickets.queue import Line, TicketView, get_ticket, list_tickets

router = APIRouter(tags=["tickets"])
MOST_PAGES = 1_000_000
Number = Annotated[int, Path(ge=1, le=10**15 - 1, description="The ticket's number.")]
_MOMENT = datetime | None
TicketLine = shape_of(
    Line, name="TicketLine", first=datetime, last=datetime, opened=datetime, changed=datetime,
    closed=_MOMENT, due=_MOMENT,
)  # fmt: skip
File = shape_of(AttachmentView, name="File", at=datetime, gone=_MOMENT)


class TicketPage(BaseModel):
    """`next` is the cursor of the page after; null at the end."""

    items: list[TicketLine]  # type: ignore[valid-type]
    next: str | None


class HistoryLine(BaseModel):
    """A line of the history; `place` counts from 1 without a gap. `by` is an actor: `person:an`, `token:4f…`."""

    place: int
    what: str
    by: str
    at: datetime
    text: str
    detail: dict[str, Any]


class History(BaseModel):
    items: list[HistoryLine]
    next: str | None


class Clock(BaseModel):
    key: str
    kind: str
    pack: str
    state: str
    began: datetime
    due: _MOMENT
    ended: _MOMENT


class Factor(BaseModel):
    key: str
    value: str
    points: int


class Part(BaseModel):
    """A finding of the ticket, with its rule's text at the revision that matched."""

    id: str
    rule: str
    revision: str
    rule_text: str
    title: str
    level: str
    entity: str
    entity_field: str
    first: datetime
    last: datetime
    count: int
    merged_into: str
    run: str
    samples: list[dict[str, Any]]


class Step(BaseModel):
    """A step of the checklist. `done_by` is empty while nobody did it."""

    key: str
    vi: str
    en: str
    done_by: str


class Ticket(BaseModel):
    """A ticket whole, with one page of its findings. `documents` are the samples' events by id."""

    ticket: TicketLine  # type: ignore[valid-type]
    tags: list[str]
    duplicate_of: int | None
    duplicates: list[int]
    follows: int | None
    followed_by: list[int]
    priority_factors: list[Factor]
    clocks: list[Clock]
    checklist: list[Step]
    page: int
    pages: int
    findings: list[Part]
    files: list[File]  # type: ignore[valid-type]
    documents: dict[str, dict[str, Any]]
    store_away: bool


class TicketsAsked(Asked):
    """Filters of the queue: the same as in the console's addresses. `owner`: an actor, `me`, or `none`."""

    status: Annotated[
        str, Query(max_length=40, description="`open` (the default), `all`, or one status.")
    ] = "open"
    agency: Annotated[str, Query(max_length=64)] = ""
    severity: Annotated[str, Query(max_length=20)] = ""
    at_least: Annotated[str, Query(max_length=20, description="This severity and up.")] = ""
    owner: Annotated[
        str, Query(max_length=96, description="An actor (`person:an`), `me`, or `none`.")
    ] = ""
    rule: Annotated[str, Query(max_length=64)] = ""
    entity: Annotated[str, Query(max_length=200)] = ""
    words: Annotated[str, Query(max_length=200, description="Sought in title and entity.")] = ""
    tag: Annotated[str, Query(max_length=40)] = ""
    alert: Annotated[str, Query(max_length=20, description="`warned` or `breached`.")] = ""
    drill: Annotated[
        Literal["", "no", "only"], Query(description="Leave drills out, or ask for them alone.")
    ] = ""


def filters_of(asked: TicketsAsked, caller: Caller) -> Filters:
    check_agency(caller.state, caller.actor, asked.agency)
    return Filters(
        status="" if asked.status == "all" else asked.status,
        owner={"me": caller.actor.name, "none": "-"}.get(asked.owner, asked.owner),
        agency=asked.agency, severity=asked.severity, at_least=asked.at_least, rule=asked.rule,
        entity=asked.entity, words=asked.words, tag=asked.tag, alert=asked.alert,
        drill={"": None, "no": False, "only": True}[asked.drill],
    )  # fmt: skip


@route(router, "GET", "/tickets", "ticket.read", errors=(404,), response_model=TicketPage)
def list_of_tickets(caller: Entered, asked: Annotated[TicketsAsked, Query()]) -> Any:
    """The queue, the highest priority first, within your reach."""
    found = list_tickets(
        caller.state, caller.actor, filters_of(asked, caller), limit=asked.limit,
        after=read_cursor(asked.cursor),
    )  # fmt: skip
    return {"items": found.items, "next": write_cursor(found.next)}


ETAG = {
    200: {"headers": {"ETag": {"description": "For `If-Match`.", "schema": {"type": "string"}}}}
}
FindingsPage = Annotated[int, Query(ge=1, le=MOST_PAGES, description="Which page of findings.")]


@route(
    router, "GET", "/tickets/{number}", "ticket.read", errors=(404,), response_model=Ticket,
    responses=ETAG,
)  # fmt: skip
def one_ticket(caller: Entered, number: Number, response: Response, page: FindingsPage = 1) -> Any:
    """One ticket, with its findings, the rules that made them, and the samples' events as they came."""
    view, away = _view(caller, number, page)
    response.headers["ETag"] = f'"{view.ticket.revision}"'
    checks = view.ticket.checks
    return {
        "ticket": view.ticket,
        "tags": view.tags,
        "duplicate_of": view.duplicate_of,
        "duplicates": view.duplicates,
        "follows": view.follows,
        "followed_by": view.followed_by,
        "priority_factors": [_plain(one) for one in view.priority.factors],
        "clocks": [_plain(one) for one in view.clocks],
        "checklist": [
            {"key": step.key, "vi": step.vi, "en": step.en, "done_by": checks.get(step.key, "")}
            for step in steps_of(finding.rule_text for finding in view.findings)
        ],
        "page": view.page,
        "pages": view.pages,
        "findings": [_plain(one) for one in view.findings],
        "files": view.files,
        "documents": view.documents,
        "store_away": away,
    }


@route(
    router, "GET", "/tickets/{number}/history", "ticket.read", errors=(404,), response_model=History
)
def history(caller: Entered, number: Number, asked: Annotated[Asked, Query()]) -> Any:
    """What happened to the ticket, from the beginning."""
    view = get_ticket(caller.state, None, caller.actor, str(number))
    first = place_in(asked.cursor)
    rest = [line for line in view.history if line["place"] >= first]
    more = len(rest) > asked.limit
    following = str(rest[asked.limit]["place"]) if more else None
    return {"items": rest[: asked.limit], "next": write_cursor(following)}


class Evidence(BaseModel, extra="allow"):
    """The ticket as evidence; `sha256` is of the document without it (sorted keys, no blanks, UTF-8)."""

    format: str
    taken_by: str
    taken_at: str
    page: int
    pages: int
    sha256: str


@route(
    router, "GET", "/tickets/{number}/evidence", "ticket.read", errors=(404,),
    responses={200: {"model": Evidence}}, response_class=Response,
)  # fmt: skip
def taken_out(caller: Entered, number: Number, page: FindingsPage = 1) -> Response:
    """The ticket as evidence: rule texts, matched fields and raw lines, each with its hash. 503 while the
    store is away: evidence without its events is none."""
    body = canonical(_evidence(caller, number, page)) + "\n"
    name = f'attachment; filename="ticket-{number}.json"'
    return Response(
        body.encode("utf-8", "replace"),
        media_type="application/json",
        headers={"Content-Disposition": name},
    )


_HTML = {"text/html": {"schema": {"type": "string"}}}


@route(
    router, "GET", "/tickets/{number}/evidence.html", "ticket.read", errors=(404,),
    responses={200: {"description": "A file that needs no other.", "content": _HTML}},
    response_class=Response,
)  # fmt: skip
def printed(
    caller: Entered, number: Number, page: FindingsPage = 1, language: Literal["vi", "en"] = "vi"
) -> Response:
    """The same for paper."""
    text = caller.gate.printer(_evidence(caller, number, page), caller.actor, language=language)
    name = f'attachment; filename="ticket-{number}.html"'
    return Response(
        text.encode("utf-8", "replace"),
        media_type="text/html",
        headers={"Content-Disposition": name},
    )


def _evidence(caller: Caller, number: int, page: int) -> dict[str, Any]:
    view, away = _view(caller, number, page)
    if away:
        raise ServiceAwayError("the store does not answer")
    return evidence(view, caller.actor, now=caller.now)


def _view(caller: Caller, number: int, page: int) -> tuple[TicketView, bool]:
    """The ticket, and whether it had to do without its events. A token without the search sees no raw lines."""
    from pipeline.access.permissions import may

    if not may(caller.actor, "event.search"):
        return get_ticket(caller.state, None, caller.actor, str(number), page=page), False
    scope_for(caller.actor, "event.search")
    try:
        return get_ticket(caller.state, caller.store, caller.actor, str(number), page=page), False
    except ServiceAwayError:
        return get_ticket(caller.state, None, caller.actor, str(number), page=page), True


def _plain(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}
