"""The queue in figures: a page with plots, and its tables as CSV."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from starlette.responses import Response

from pipeline.access.agencies import agencies, unknown
from pipeline.console.csv_file import csv_file
from pipeline.console.visit import Visit
from pipeline.model.errors import UsageError
from pipeline.tickets.statistics import PERIODS, Figures, figures

WIDTH, HEIGHT = 1000.0, 100.0


@dataclass(frozen=True, slots=True)
class Pair:
    """A day's two bars in units of a 1000 × 100 picture."""

    day: Any
    opened: int
    closed: int
    x: float
    width: float
    high_opened: float
    high_closed: float


def page(visit: Visit) -> Response:
    found = _figures(visit)
    with visit.state.read() as db:
        names = agencies(db, visit.actor)
    most = max((age.tickets for age in found.backlog), default=0)
    return visit.render(
        "figures.html", found=found, pairs=_pairs(found), names=names, unknown=unknown,
        periods=PERIODS, backlog=[(age, _part(age.tickets, most)) for age in found.backlog],
    )  # fmt: skip


def _figures(visit: Visit) -> Figures:
    days = visit.number(visit.query("days", "30"))
    return figures(visit.state, visit.actor, days=days, now=visit.now)


def _part(count: int, most: int) -> float:
    return round(WIDTH * count / most, 1) if most else 0.0


def _pairs(found: Figures) -> list[Pair]:
    most = max((max(day.opened, day.closed) for day in found.by_day), default=0) or 1
    step = WIDTH / max(1, len(found.by_day))
    width = step * 0.4
    return [
        Pair(
            day.day, day.opened, day.closed, round(place * step + step * 0.1, 2), round(width, 2),
            round(HEIGHT * day.opened / most, 2), round(HEIGHT * day.closed / most, 2),
        )
        for place, day in enumerate(found.by_day)
    ]  # fmt: skip


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else int(span.total_seconds())


_LOAD: Final = ("id", "title", "tickets", "open", "events", "right", "wrong", "precision")


def table(visit: Visit) -> Response:
    """One table of the page; column names are English in every language, for programs."""
    found, name = _figures(visit), visit.query("table")
    if name == "times":
        header: tuple[str, ...] = (
            "severity", "tickets", "claimed", "claim_median_s", "claim_p90_s",
            "closed", "close_median_s", "close_p90_s",
        )  # fmt: skip
        rows: list[tuple[Any, ...]] = [
            (
                t.severity, t.tickets, t.claimed, _seconds(t.claim_median), _seconds(t.claim_p90),
                t.closed, _seconds(t.close_median), _seconds(t.close_p90),
            )
            for t in found.times
        ]  # fmt: skip
    elif name == "days":
        header = ("day", "opened", "closed")
        rows = [(day.day.isoformat(), day.opened, day.closed) for day in found.by_day]
    elif name == "backlog":
        header = ("younger_than_s", "tickets")
        rows = [(_seconds(age.below), age.tickets) for age in found.backlog]
    elif name in ("rules", "agencies"):
        header = _LOAD
        loads = found.rules if name == "rules" else found.agencies
        rows = [
            (
                load.key, load.title, load.tickets, load.open, load.events, load.hits, load.misses,
                None if load.precision is None else round(load.precision, 3),
            )
            for load in loads
        ]  # fmt: skip
    else:
        raise UsageError("no such table", got=repr(name[:20]))
    return Response(
        csv_file(header, rows),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}-{found.days}d.csv"'},
    )
