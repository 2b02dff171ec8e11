"""Whether a source sends, live; its further keys; the thresholds of its health."""

from __future__ import annotations

from starlette.responses import Response

from pipeline.console.forms import attempt
from pipeline.console.visit import Visit
from pipeline.model.errors import UsageError
from pipeline.sources import limits
from pipeline.sources.onboarding.live import Live, live


def look(visit: Visit, source: str) -> Live:
    return live(visit.state, visit.store, visit.console.rules, visit.actor, source, now=visit.now)


def page(visit: Visit) -> Response:
    source = visit.request.path_params["source"]
    return visit.render("source_live.html", live=look(visit, source))


def state(visit: Visit) -> Response:
    """The steps alone: the page asks for them every two seconds until all are done."""
    return visit.render("live_steps.html", live=look(visit, visit.request.path_params["source"]))


def set_limits(visit: Visit) -> Response:
    from pipeline.console.views.sources import shown

    source = visit.request.path_params["source"]

    def deed() -> str:
        given = {name: visit.field(name) for name in limits.NAMES if name in visit.form}
        if not given:
            raise UsageError("no such threshold")
        limits.set_limits(visit.state, visit.actor, source, given, now=visit.now)
        return f"/sources/{source}?notice=saved"

    return attempt(visit, deed, lambda status, error: shown(visit, status, about_limits=error))
