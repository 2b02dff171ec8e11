"""The queue and a ticket: what is shown, and the deeds behind the forms.

Every form carries the ticket's revision as its writer saw it and a key of its own: a form sent twice
does its deed once, one that is stale does nothing and says who was first, with what was typed kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from pipeline.access.agencies import agencies, unknown
from pipeline.access.hashing import new_secret
from pipeline.access.names import person_names
from pipeline.access.permissions import scope_for
from pipeline.console.ticket_facts import explain
from pipeline.console.visit import Visit
from pipeline.model.errors import ConflictError, ServiceAwayError, UsageError
from pipeline.model.tickets import ClosingReason, TicketStatus
from pipeline.tickets import life
from pipeline.tickets.deeds import Outcome, Request
from pipeline.tickets.filters import Filters
from pipeline.tickets.queue import (
    FINDINGS_PAGE,
    TicketView,
    count_tickets,
    get_ticket,
    list_tickets,
)

SIZE = 50
REASONS = tuple(reason.value for reason in ClosingReason if reason is not ClosingReason.RECOVERED)
LEVELS = ("critical", "high", "medium", "low", "informational")
_FILTERS = ("status", "agency", "at_least", "owner", "rule", "entity", "words", "drill", "after")


def home(visit: Visit) -> Response:
    return visit.go("/tickets")


def queue_page(visit: Visit) -> Response:
    return visit.render("queue.html", **_queue(visit))


def queue_rows(visit: Visit) -> Response:
    """The list alone: what the page asks for again and again."""
    return visit.render("queue_rows.html", **_queue(visit))


def _queue(visit: Visit) -> dict[str, Any]:
    asked = {name: visit.query(name)[:200] for name in _FILTERS}
    filters = _filters(asked, visit.actor.name)
    page = list_tickets(visit.state, visit.actor, filters, limit=SIZE, after=asked["after"] or None)
    with visit.state.read() as db:
        names = agencies(db, visit.actor)
        people = person_names(db, {line.owner for line in page.items})
    return {
        "page": page,
        "total": count_tickets(visit.state, visit.actor, filters),
        "asked": asked,
        "tabs": _tabs(visit, asked),
        "names": names,
        "unknown": unknown,
        "people": people,
        "levels": LEVELS,
    }


def _filters(asked: dict[str, str], me: str) -> Filters:
    owner = {"me": me, "none": "-"}.get(asked["owner"], asked["owner"])
    return Filters(
        status={"": "open", "all": ""}.get(asked["status"], asked["status"]),
        agency=asked["agency"],
        at_least=asked["at_least"],
        owner=owner,
        rule=asked["rule"],
        entity=asked["entity"],
        words=asked["words"],
        drill={"": None, "no": False, "only": True}.get(asked["drill"]),
    )


def _tabs(visit: Visit, asked: dict[str, str]) -> list[dict[str, Any]]:
    """The views that everybody wants, each with its count; an address each."""
    tabs = (
        ("open", {"status": "", "owner": ""}),
        ("free", {"status": "", "owner": "none"}),
        ("mine", {"status": "", "owner": "me"}),
        ("waiting", {"status": TicketStatus.WAITING.value, "owner": ""}),
        ("closed", {"status": TicketStatus.CLOSED.value, "owner": ""}),
    )
    made = []
    for key, change in tabs:
        if key == "mine" and not visit.may("ticket.claim"):
            continue
        wanted = asked | change | {"after": ""}
        count = count_tickets(visit.state, visit.actor, _filters(wanted, visit.actor.name))
        here = all(asked[name] == value for name, value in change.items())
        made.append({"key": key, "query": wanted, "count": count, "here": here})
    return made


def ticket_page(visit: Visit) -> Response:
    return _shown(visit)


def _shown(visit: Visit, status: int = 200, error: Any = None) -> Response:
    view, away = _read(visit)
    ticket = view.ticket
    me = visit.actor.name
    with visit.state.read() as db:
        names = agencies(db, visit.actor)
        people = person_names(db, {ticket.owner} | {one["by"] for one in view.history})
    return visit.render(
        "ticket.html",
        status,
        view=view,
        ticket=ticket,
        agency=names.get(ticket.agency) or unknown(ticket.agency),
        findings=[explain(finding, view.documents) for finding in view.findings],
        first_finding=FINDINGS_PAGE * (view.page - 1),
        people=people,
        away=away,
        error=error,
        reasons=REASONS,
        key=new_secret(),
        mine=ticket.owner == me,
        open=ticket.closed is None,
        typed={name: visit.field(name) for name in ("note", "reason", "text", "duplicate_of")},
    )


def _read(visit: Visit) -> tuple[TicketView, bool]:
    """The ticket; without raw lines when the store is away, or the reader may not search events."""
    number = visit.request.path_params["number"]
    page = max(1, visit.number(visit.query("findings", "1")))
    store = visit.store if visit.may("event.search") else None
    if store is not None:
        scope_for(visit.actor, "event.search")
    try:
        return get_ticket(visit.state, store, visit.actor, number, page=page), False
    except ServiceAwayError:
        return get_ticket(visit.state, None, visit.actor, number, page=page), True


def _do(visit: Visit, notice: str, deed: Callable[[Request], Outcome]) -> Response:
    request = Request(
        actor=visit.actor,
        ticket=visit.request.path_params["number"],
        revision=visit.number(visit.field("revision")) if visit.field("revision") else None,
        key=visit.field("key")[:128],
    )
    try:
        outcome = deed(request)
    except (ConflictError, UsageError) as error:
        return _shown(visit, 422 if isinstance(error, UsageError) else error.http_status, error)
    return visit.go(f"/tickets/{outcome.number}?notice={notice}")


def claim(visit: Visit) -> Response:
    return _do(visit, "claimed", lambda asked: life.claim(visit.state, asked, now=visit.now))


def release(visit: Visit) -> Response:
    note = visit.field("note")
    return _do(
        visit,
        "released",
        lambda asked: life.release(visit.state, asked, note=note, now=visit.now),
    )


def take_over(visit: Visit) -> Response:
    reason = visit.field("note")
    return _do(
        visit,
        "claimed",
        lambda asked: life.take_over(visit.state, asked, reason=reason, now=visit.now),
    )


def start(visit: Visit) -> Response:
    return _do(visit, "started", lambda asked: life.start(visit.state, asked, now=visit.now))


def wait(visit: Visit) -> Response:
    whom, note = visit.field("whom"), visit.field("note")
    return _do(
        visit,
        "waiting",
        lambda asked: life.wait_for(visit.state, asked, whom=whom, note=note, now=visit.now),
    )


def comment(visit: Visit) -> Response:
    text = visit.field("text")

    def deed(asked: Request) -> Outcome:
        # What is said needs no fresh sight of the ticket: no revision is demanded.
        free = Request(actor=asked.actor, ticket=asked.ticket, key=asked.key)
        return life.comment(visit.state, free, text=text, now=visit.now)

    return _do(visit, "commented", deed)


def close(visit: Visit) -> Response:
    def deed(asked: Request) -> Outcome:
        return life.close(
            visit.state,
            asked,
            reason=visit.field("reason"),
            note=visit.field("note"),
            duplicate_of=visit.field("duplicate_of").strip(),
            now=visit.now,
        )

    return _do(visit, "closed", deed)


def reopen(visit: Visit) -> Response:
    note = visit.field("note")
    return _do(
        visit,
        "reopened",
        lambda asked: life.reopen(visit.state, asked, note=note, now=visit.now),
    )
