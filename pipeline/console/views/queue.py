"""Many tickets at once, saved views, and the end of a shift.

Each ticket of a bulk deed is a deed of its own, with its own outcome: what could not be done is told beside what
was. A form sent again under its key gets the same outcomes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.responses import Response

from pipeline.access.hashing import new_secret
from pipeline.access.names import person_names
from pipeline.console.views.tickets import FILTERS, workers
from pipeline.console.visit import Visit
from pipeline.model.errors import ThapCanhError, UsageError
from pipeline.tickets import facts, life, saved_views, shift
from pipeline.tickets.deeds import Outcome, Request
from pipeline.tickets.filters import Filters
from pipeline.tickets.queue import list_tickets

MOST = 100


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one ticket of a bulk deed; `error` is None where it was done."""

    number: str
    error: ThapCanhError | None


def bulk(visit: Visit) -> Response:
    deed = _deed(visit)
    chosen = [str(value) for value in visit.form.getlist("t") if isinstance(value, str)]
    if not chosen:
        raise UsageError("no ticket is chosen")
    if len(chosen) > MOST:
        raise UsageError("too many tickets at once", got=str(len(chosen)), expected=f"up to {MOST}")
    key = visit.field("key")[:64]
    results = [_one(visit, deed, each, key) for each in dict.fromkeys(chosen)]
    done = sum(result.error is None for result in results)
    return visit.render(
        "bulk.html", results=results, done=done, back=f"/tickets?{visit.field('back')}"
    )


def _one(visit: Visit, deed: Callable[[Request], Outcome], chosen: str, key: str) -> Result:
    """`chosen` is the number and the revision that was seen: ``17:3``."""
    number, _, revision = chosen.partition(":")
    try:
        request = Request(
            actor=visit.actor,
            ticket=str(visit.number(number)),
            revision=visit.number(revision) if revision else None,
            key=f"{key}:{number}" if key else "",
        )
        deed(request)
    except ThapCanhError as error:
        return Result(number, error)
    return Result(number, None)


def _deed(visit: Visit) -> Callable[[Request], Outcome]:
    state, now, note = visit.state, visit.now, visit.field("note")
    deeds: dict[str, Callable[[Request], Outcome]] = {
        "claim": lambda r: life.claim(state, r, now=now),
        "release": lambda r: life.release(state, r, note=note, now=now),
        "assign": lambda r: life.assign(state, r, to=visit.field("to"), note=note, now=now),
        "close": lambda r: life.close(state, r, reason=visit.field("reason"), note=note, now=now),
        "tag": lambda r: facts.tag(state, r, tag=visit.field("tag"), now=now),
        "merge": lambda r: facts.merge(state, r, into=visit.field("into"), note=note, now=now),
    }
    found = deeds.get(visit.field("deed"))
    if found is None:
        raise UsageError(
            "no such deed", got=repr(visit.field("deed")[:20]), expected=", ".join(deeds)
        )
    return found


def save_view(visit: Visit) -> Response:
    kept = {name: visit.field(name)[:200] for name in FILTERS if name != "after"}
    query = urlencode({name: value for name, value in kept.items() if value})
    saved_views.save_view(
        visit.state, visit.actor, name=visit.field("name"), query=query, now=visit.now
    )
    return visit.go(f"/tickets?{query}" if query else "/tickets")


def drop_view(visit: Visit) -> Response:
    saved_views.drop_view(visit.state, visit.actor, visit.field("name"))
    return visit.go("/tickets")


def hand_over_page(visit: Visit) -> Response:
    return _hand_over(visit)


def _hand_over(visit: Visit, status: int = 200, fault: str = "") -> Response:
    mine = list_tickets(
        visit.state, visit.actor, Filters(owner=visit.actor.name), limit=shift.MOST
    ).items
    notes = shift.hand_overs(visit.state, visit.actor)
    with visit.state.read() as db:
        people = person_names(db, {note.by for note in notes})
        others = workers(db, visit.actor)
    return visit.render(
        "hand_over.html", status, mine=mine, notes=notes, people=people, others=others,
        key=new_secret(), fault=fault, text=visit.field("text"),
    )  # fmt: skip


def hand_over(visit: Visit) -> Response:
    numbers = [visit.number(str(value)) for value in visit.form.getlist("t")]
    try:
        shift.hand_over(
            visit.state,
            visit.actor,
            text=visit.field("text"),
            to=visit.field("to"),
            numbers=numbers,
            key=visit.field("key")[:128],
            now=visit.now,
        )
    except UsageError as error:
        return _hand_over(visit, 422, error.what)
    return visit.go("/hand-over?notice=handed_over")
