"""People and the access log: read here, changed on the command line (`thapcanh person …`)."""

from __future__ import annotations

from starlette.responses import Response

from pipeline.access import log, people
from pipeline.console.visit import Visit


def page(visit: Visit) -> Response:
    entries = log.recent(visit.state, visit.actor, limit=100) if visit.may("access.read") else []
    return visit.render(
        "people.html", people=people.list_people(visit.state, visit.actor), entries=entries
    )
