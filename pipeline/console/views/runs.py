"""Runs, lag and coverage; and, for who may see operations, roles and alarms."""

from __future__ import annotations

from starlette.responses import Response

from pipeline.console.visit import Visit
from pipeline.detect.reads import runs


def page(visit: Visit) -> Response:
    operations = visit.may("operation.read")
    return visit.render(
        "runs.html",
        runs=runs.run_lines(visit.state, visit.actor),
        coverage=runs.coverage(visit.state, visit.actor),
        lags=runs.lags(visit.state, visit.actor) if operations else [],
        roles=runs.roles(visit.state, visit.actor) if operations else [],
        alarms=runs.alarms(visit.state, visit.actor) if operations else [],
    )
