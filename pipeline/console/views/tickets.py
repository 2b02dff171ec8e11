"""The queue and a ticket: what is shown. The deeds behind their forms are in `ticket_deeds.py` and `queue.py`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session as Db
from starlette.responses import Response

from pipeline.access.agencies import agencies, unknown
from pipeline.access.hashing import new_secret
from pipeline.access.names import person_names
from pipeline.access.permissions import PEOPLE_ROLES, reach, scope_for
from pipeline.api.uploads import as_download
from pipeline.console.ticket_facts import explain
from pipeline.console.visit import Visit
from pipeline.model.errors import ServiceAwayError
from pipeline.model.scope import Actor
from pipeline.model.tickets import ClosingReason, TicketStatus, Tlp
from pipeline.state.tables.access import Person
from pipeline.tickets import saved_views
from pipeline.tickets.attachments import fetch
from pipeline.tickets.clocks.packs import sign_words, standing
from pipeline.tickets.deeds import Request
from pipeline.tickets.evidence import canonical, evidence
from pipeline.tickets.filters import Filters
from pipeline.tickets.playbook import steps_of
from pipeline.tickets.queue import (
    FINDINGS_PAGE,
    Tally,
    TicketView,
    count_tickets,
    get_ticket,
    list_tickets,
    tally,
)
from pipeline.tickets.shift import hand_overs

SIZE = 50
NOTE_SHOWN = timedelta(hours=12)
REASONS = tuple(reason.value for reason in ClosingReason if reason is not ClosingReason.RECOVERED)
LEVELS = ("critical", "high", "medium", "low", "informational")
FILTERS = (*saved_views.NAMES, "after")
TLPS = tuple(one.value for one in Tlp)


def home(visit: Visit) -> Response:
    return visit.go("/tickets")


def queue_page(visit: Visit) -> Response:
    views = saved_views.views_of(visit.state, visit.actor)
    note = next(iter(hand_overs(visit.state, visit.actor, limit=1)), None)
    if note is not None and visit.now - note.at > NOTE_SHOWN:
        note = None
    with visit.state.read() as db:
        writer = person_names(db, {note.by}) if note else {}
    return visit.render(
        "queue.html", views=views, note=note, writer=writer, fragment=False, **_queue(visit)
    )


def queue_rows(visit: Visit) -> Response:
    """The list and the counts of the tabs: what the page asks for again and again."""
    return visit.render("queue_rows.html", fragment=True, **_queue(visit))


def _queue(visit: Visit) -> dict[str, Any]:
    asked = {name: visit.query(name)[:200] for name in FILTERS}
    filters = _filters(asked, visit.actor.name)
    page = list_tickets(visit.state, visit.actor, filters, limit=SIZE, after=asked["after"] or None)
    tabs = _tabs(visit, asked, tally(visit.state, visit.actor, filters))
    total = next((tab["count"] for tab in tabs if tab["here"]), None)
    if total is None:
        total = count_tickets(visit.state, visit.actor, filters)
    with visit.state.read() as db:
        names = agencies(db, visit.actor)
        people = person_names(db, {line.owner for line in page.items})
        others = workers(db, visit.actor) if visit.may("ticket.assign") else {}
    return {
        "page": page,
        "total": total,
        "asked": asked,
        "tabs": tabs,
        "names": names,
        "unknown": unknown,
        "people": people,
        "levels": LEVELS,
        "others": others,
        "reasons": REASONS,
        "key": new_secret(),
    }


def workers(db: Db, actor: Actor) -> dict[str, str]:
    """People who can be given a ticket, by id: the names in their order, without the actor's own."""
    roles = [role for role in PEOPLE_ROLES if reach(role, "ticket.claim") != "-"]
    rows = db.execute(
        select(Person.id, Person.name)
        .where(Person.role.in_(roles), Person.disabled.is_(None))
        .order_by(Person.name)
    )
    return {row.id: row.name for row in rows if f"person:{row.id}" != actor.name}


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
        tag=asked["tag"],
        alert=asked["alert"],
        drill={"": None, "no": False, "only": True}.get(asked["drill"]),
    )


def _tabs(visit: Visit, asked: dict[str, str], counts: Tally) -> list[dict[str, Any]]:
    """The views that everybody wants, an address each; what is closed is not counted, it only grows."""
    tabs = (
        ("open", {"status": "", "owner": ""}, counts.open),
        ("free", {"status": "", "owner": "none"}, counts.free),
        ("mine", {"status": "", "owner": "me"}, counts.mine),
        ("waiting", {"status": TicketStatus.WAITING.value, "owner": ""}, counts.waiting),
        ("late", {"status": "", "owner": "", "alert": "breached"}, counts.late),
        ("closed", {"status": TicketStatus.CLOSED.value, "owner": ""}, None),
    )
    made = []
    for key, change, count in tabs:
        if key == "mine" and not visit.may("ticket.claim"):
            continue
        wanted = asked | {"alert": "", "after": ""} | change
        here = all(asked[name] == wanted[name] for name in ("status", "owner", "alert"))
        made.append({"key": key, "query": wanted, "count": count, "here": here})
    return made


def ticket_page(visit: Visit) -> Response:
    return shown(visit)


def shown(visit: Visit, status: int = 200, error: Any = None) -> Response:
    view, away = _read(visit)
    ticket = view.ticket
    me = visit.actor.name
    with visit.state.read() as db:
        names = agencies(db, visit.actor)
        people = person_names(
            db,
            {ticket.owner, *ticket.checks.values()}
            | {one["by"] for one in (*view.history, *map(msgspec.structs.asdict, view.files))}
            | {f"person:{who}" for one in view.history for who in one["detail"].get("people", ())},
        )
        others = workers(db, visit.actor) if visit.may("ticket.assign") else {}
    policies = standing()
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
        whole=visit.actor.scope.agencies is None,
        levels=LEVELS,
        tlps=TLPS,
        others=others,
        steps=steps_of(finding.rule_text for finding in view.findings),
        signs=sign_words(policies),
        legal=policies.legal_clock,
        key=new_secret(),
        mine=ticket.owner == me,
        shelf=visit.console.shelf,
        asked_of_us=visit.actor.role == "officer" and ticket.waiting_for == "agency",
        open=ticket.closed is None,
        typed={
            name: visit.field(name) for name in ("note", "reason", "text", "duplicate_of", "into")
        },
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


def export(visit: Visit) -> Response:
    """The ticket as evidence, for programs; its last line of defence is its own hash."""
    body = _evidence(visit)
    name = f"ticket-{body['ticket']['number']}.json"
    return Response(
        canonical(body) + "\n",
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def download(visit: Visit) -> Response:
    """A file as bytes without a meaning: no browser shows or runs it here, whatever it holds."""
    request = Request(actor=visit.actor, ticket=visit.request.path_params["number"])
    one, body = fetch(visit.state, request, visit.console.shelf, visit.request.path_params["file"])
    return Response(body, media_type="application/octet-stream", headers=as_download(one.name))


def printed(visit: Visit) -> Response:
    """The same for paper."""
    body = _evidence(visit)
    with visit.state.read() as db:
        names = agencies(db, visit.actor)
    agency = body["ticket"]["agency"]
    return visit.render(
        "ticket_print.html", body=body, agency=names.get(agency) or unknown(agency), style=""
    )


def _evidence(visit: Visit) -> dict[str, Any]:
    view, away = _read(visit)
    if away:  # evidence without its events is none
        raise ServiceAwayError("the state does not answer")
    return evidence(view, visit.actor, now=visit.now)
