"""Sources and their state."""

from __future__ import annotations

import dataclasses

from starlette.responses import Response

from pipeline.console.visit import Visit
from pipeline.detect.reads.outages import outages
from pipeline.model.errors import ThapCanhError
from pipeline.sources import health, limits
from pipeline.sources.register import get_source
from pipeline.sources.senders import means_of


def list_page(visit: Visit) -> Response:
    lines = health.source_lines(visit.state, visit.actor, now=visit.now)
    return visit.render("sources.html", lines=lines)


def source_page(visit: Visit) -> Response:
    return shown(visit)


def shown(
    visit: Visit,
    status: int = 200,
    error: ThapCanhError | None = None,
    *,
    about_limits: ThapCanhError | None = None,
) -> Response:
    """The source's page; after a form that was not taken with its fault (of a key, or of its thresholds)."""
    source = visit.request.path_params["source"]
    line = health.source_line(visit.state, visit.actor, source, now=visit.now)
    row = get_source(visit.state, visit.actor, source)
    return visit.render(
        "source.html", status, line=line, error=error, about_limits=about_limits,
        letters=health.letters(visit.state, visit.actor, source),
        ill=health.open_conditions(visit.state, visit.actor, source),
        means=means_of(visit.state, visit.actor, source, now=visit.now),
        outages=outages(visit.state, visit.actor, source=source),
        own=limits.own_limits(row.options), usual=dataclasses.asdict(visit.console.health), names=limits.NAMES,
    )  # fmt: skip
