"""Runs, lag and coverage; and, for who may see operations, roles and alarms. One run with its window."""

from __future__ import annotations

from starlette.responses import Response

from pipeline.console.visit import Visit
from pipeline.detect.reads import runs

SIZE = 50


def page(visit: Visit) -> Response:
    operations = visit.may("operation.read")
    asked = {name: visit.query(name)[:64] for name in ("status", "kind", "schedule")}
    after = visit.query("after")
    lines = runs.run_lines(
        visit.state, visit.actor, limit=SIZE + 1, after=after[:64] or None, **asked
    )
    return visit.render(
        "runs.html",
        runs=lines[:SIZE],
        asked=asked,
        next=lines[SIZE - 1].id if len(lines) > SIZE else None,
        later=bool(after),
        coverage=runs.coverage(visit.state, visit.actor),
        lags=runs.lags(visit.state, visit.actor) if operations else [],
        roles=runs.roles(visit.state, visit.actor) if operations else [],
        alarms=runs.alarms(visit.state, visit.actor) if operations else [],
    )


def one(visit: Visit) -> Response:
    view = runs.one_run(visit.state, visit.actor, visit.request.path_params["run"][:64])
    return visit.render("run.html", view=view, run=view.run)
