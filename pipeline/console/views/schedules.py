"""Schedules: how far each is, why it rests, what it has not evaluated; pauses and maintenance."""

from __future__ import annotations

from starlette.responses import Response

from pipeline.console.forms import attempt
from pipeline.console.spans import city_time
from pipeline.console.visit import Visit
from pipeline.detect.reads import runs
from pipeline.detect.running import maintenance, scheduler
from pipeline.detect.running.coverage import waiting_of
from pipeline.model.errors import ThapCanhError, UsageError

RUNS = 8
PAUSED = "paused, "  # how `maintenance.resting` begins where somebody paused the schedule


def page(visit: Visit) -> Response:
    return _shown(visit)


def _shown(visit: Visit, status: int = 200, error: ThapCanhError | None = None) -> Response:
    lines = scheduler.schedules(visit.state, visit.store, visit.actor, now=visit.now)
    whole = visit.actor.scope.agencies is None  # sequences are the centre's
    marks = visit.store.watermark()
    return visit.render(
        "schedules.html", status,
        lines=lines, error=error,
        paused={  # who sees some agencies alone gets no lags, and the pause all the same
            one.schedule: one.rests.removeprefix(PAUSED)
            for one in lines
            if one.rests.startswith(PAUSED)
        },
        lags=runs.lags(visit.state, visit.actor),
        rests=maintenance.list_rests(visit.state, visit.actor, now=visit.now),
        runs={
            one.schedule: runs.run_lines(visit.state, visit.actor, limit=RUNS, schedule=one.schedule)
            for one in lines
        },
        gaps={
            one.schedule: waiting_of(visit.state, marks, one.schedule, now=visit.now)
            if whole
            else ()
            for one in lines
        },
        typed={name: visit.field(name) for name in ("reason", "schedule", "starts", "ends")},
    )  # fmt: skip


def pause(visit: Visit) -> Response:
    def deed() -> str:
        scheduler.pause(
            visit.state, visit.actor, visit.request.path_params["schedule"],
            visit.field("reason")[:2_000], now=visit.now,
        )  # fmt: skip
        return "/schedules?notice=paused"

    return attempt(visit, deed, lambda status, error: _shown(visit, status, error))


def resume(visit: Visit) -> Response:
    name = visit.request.path_params["schedule"]
    scheduler.resume(visit.state, visit.actor, name, now=visit.now)
    return visit.go("/schedules?notice=resumed")


def declare(visit: Visit) -> Response:
    def deed() -> str:
        if not visit.field("ends"):
            raise UsageError("maintenance needs its end")
        starts = visit.field("starts")
        maintenance.declare(
            visit.state, visit.actor, schedule=visit.field("schedule"),
            starts=city_time(starts) if starts else visit.now, ends=city_time(visit.field("ends")),
            reason=visit.field("reason")[:2_000], now=visit.now,
        )  # fmt: skip
        return "/schedules?notice=saved"

    return attempt(visit, deed, lambda status, error: _shown(visit, status, error))


def cancel(visit: Visit) -> Response:
    maintenance.cancel(visit.state, visit.actor, visit.request.path_params["rest"], now=visit.now)
    return visit.go("/schedules?notice=saved")
