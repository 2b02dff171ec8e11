"""Search, and one event: a query in Lucene's syntax, a time range, a click on any value to pivot."""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import Response

from pipeline.access.agencies import agencies, unknown
from pipeline.access.permissions import scope_for
from pipeline.console.bars import bars
from pipeline.console.spans import PRESETS, Span, span
from pipeline.console.visit import Visit
from pipeline.model import events
from pipeline.model.documents import escaped, fields, first_of, flatten, term
from pipeline.model.errors import NotFoundError, UsageError
from pipeline.model.scope import Scope
from pipeline.store.query import parse
from pipeline.store.query_tree import field_of, leaves

SIZE = 50
LONGEST = "30d"
FACETS = ("event.dataset", "host.name", "user.name", "source.ip")


def page(visit: Visit) -> Response:
    query = visit.query("q")[:4_000]
    fault: UsageError | None = None
    try:
        chosen = span(visit.query("range"), visit.query("from"), visit.query("to"), now=visit.now)
    except UsageError as error:
        chosen = span("", "", "", now=visit.now)
        fault = error
    found: dict[str, Any] = {
        "rows": [],
        "next": None,
        "missing": 0,
        "total": None,
        "bars": [],
        "hints": None,
    }
    if not fault and visit.request.query_params:
        try:
            found = _search(visit, query, chosen)
        except UsageError as error:
            fault = error
    base = {"range": chosen.preset, "from": visit.query("from"), "to": visit.query("to")}
    return visit.render(
        "search.html",
        400 if fault else 200,
        query=query,
        span=chosen,
        presets=tuple(PRESETS),
        base=base,
        fault=fault,
        asked=bool(visit.request.query_params),
        **found,
    )


def _search(visit: Visit, query: str, chosen: Span) -> dict[str, Any]:
    scope = scope_for(visit.actor, "event.search")
    store, when = visit.store, chosen.when
    found = store.search(
        query, scope=scope, when=when, limit=SIZE, after=visit.query("after") or None
    )
    counts = store.histogram(query, scope=scope, when=when, step=chosen.step)
    with visit.state.read() as db:
        names = agencies(db, visit.actor)
    rows = []
    for document in found.documents:
        flat = flatten(document)
        agency = first_of(flat, events.AGENCY)
        rows.append({**_line(flat), "agency": names.get(agency) or unknown(agency)})
    total = sum(count for _, count in counts)
    return {
        "rows": rows,
        "next": found.next,
        "missing": found.missing,
        "total": total,
        "bars": bars(counts, chosen),
        "hints": _hints(visit, query, chosen, scope) if not total else None,
    }


def _hints(visit: Visit, query: str, chosen: Span, scope: Scope) -> dict[str, Any]:
    """Why nothing was found: events of other times, and fields that no event has."""
    longest = span(LONGEST, "", "", now=visit.now).when
    fields_asked = dict.fromkeys(name for leaf in leaves(parse(query)) if (name := field_of(leaf)))
    absent = [
        name
        for name in fields_asked
        if not visit.store.count(f"_exists_:{escaped(name)}", scope=scope, when=longest)
    ]
    shorter = chosen.preset and chosen.preset != LONGEST
    more = visit.store.count(query, scope=scope, when=longest) if shorter and not absent else 0
    return {"absent": absent, "more": more, "longest": LONGEST}


def _line(flat: dict[str, Any]) -> dict[str, Any]:
    """What the list shows of an event."""
    pivots = (
        ("host.name", first_of(flat, "host.name", "winlog.computer_name")),
        ("user.name", first_of(flat, "user.name")),
        ("source.ip", first_of(flat, "source.ip", "client.ip")),
    )
    return {
        "id": first_of(flat, events.ID),
        "time": first_of(flat, events.TIME),
        "dataset": first_of(flat, events.DATASET),
        "pivots": [(name, value, term(name, value)) for name, value in pivots if value],
        "text": re.sub(r"[\r\n\t]+", " ", first_of(flat, "message", events.ORIGINAL)),
    }


def event(visit: Visit) -> Response:
    found = one_event(visit, visit.request.path_params["event"])
    flat = flatten(found)
    agency = first_of(flat, events.AGENCY)
    with visit.state.read() as db:
        names = agencies(db, visit.actor)
    return visit.render(
        "event.html",
        id=first_of(flat, events.ID),
        time=first_of(flat, events.TIME),
        agency=names.get(agency) or unknown(agency),
        dataset=first_of(flat, events.DATASET),
        original=first_of(flat, events.ORIGINAL),
        fields=[(name, [(v, term(name, v)) for v in values]) for name, values in fields(found)],
    )


def one_event(visit: Visit, event_id: str) -> dict[str, Any]:
    scope: Scope = scope_for(visit.actor, "event.search")
    if len(event_id) != 32 or set(event_id) - set("0123456789abcdef"):
        raise NotFoundError("nothing such")
    found = visit.store.get([event_id], scope=scope)
    if not found:
        raise NotFoundError("nothing such")
    return found[0]
