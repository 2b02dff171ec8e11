"""The events of a ticket's entity across its agency's sources."""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import Response

from pipeline.console.visit import Visit
from pipeline.model import events
from pipeline.model.documents import first_of, flatten
from pipeline.tickets.timeline import timeline


def page(visit: Visit) -> Response:
    number, after = visit.request.path_params["number"], visit.query("after")[:400] or None
    found = timeline(visit.state, visit.store, visit.actor, number, after=after)
    rows = [_row(flatten(document), found.own) for document in found.documents]
    return visit.render("timeline.html", found=found, rows=rows, after=after)


def _row(flat: dict[str, Any], own: frozenset[str]) -> dict[str, Any]:
    event = first_of(flat, events.ID)
    return {
        "id": event,
        "own": event in own,
        "time": first_of(flat, events.TIME),
        "source": first_of(flat, events.SOURCE),
        "dataset": first_of(flat, events.DATASET),
        "text": re.sub(r"[\r\n\t]+", " ", first_of(flat, "message", events.ORIGINAL)),
    }
