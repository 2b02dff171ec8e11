"""Sources and their state."""

from __future__ import annotations

from starlette.responses import Response

from pipeline.console.visit import Visit
from pipeline.sources import health


def list_page(visit: Visit) -> Response:
    lines = health.source_lines(visit.state, visit.actor, now=visit.now)
    return visit.render("sources.html", lines=lines)


def source_page(visit: Visit) -> Response:
    source = visit.request.path_params["source"]
    line = health.source_line(visit.state, visit.actor, source, now=visit.now)
    letters = health.letters(visit.state, visit.actor, source)
    ill = health.open_conditions(visit.state, visit.actor, source)
    return visit.render("source.html", line=line, letters=letters, ill=ill)
