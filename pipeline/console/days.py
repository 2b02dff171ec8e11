"""Counts by day as bars of an SVG, in all and one row an agency: no script, no style, figures beside it.

In: ``{"2026-11-24": {"ward-1": 3}}``, days of the city. Out: bars in units of a 1000 × 100 picture, the
same days in each row, the tallest bar of the picture 100 high.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pipeline.model.clock import CITY_ZONE

MOST_DAYS = 400
MOST_ROWS = 12


@dataclass(frozen=True, slots=True)
class DayBar:
    """One day that has a count."""

    day: date
    count: int
    x: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Row:
    """An agency's bars, or those of the rest together (`key` empty)."""

    key: str
    total: int
    bars: tuple[DayBar, ...]


@dataclass(frozen=True, slots=True)
class Days:
    first: date
    last: date
    whole: Row
    rows: tuple[Row, ...]


def days(counts: Mapping[str, Mapping[str, int]], since: datetime, until: datetime) -> Days:
    read = {date.fromisoformat(day): of for day, of in counts.items()}
    first = min([_day(since), *read])
    last = max([_day(until), *read])
    first = max(first, last - timedelta(days=MOST_DAYS))
    totals: dict[str, int] = {}
    for of in read.values():
        for agency, n in of.items():
            totals[agency] = totals.get(agency, 0) + n
    order = sorted(totals, key=lambda agency: (-totals[agency], agency))
    named, rest = order[:MOST_ROWS], order[MOST_ROWS:]
    rows = [
        _row(agency, {d: of.get(agency, 0) for d, of in read.items()}, first, last)
        for agency in named
    ]
    if rest:
        left = {d: sum(of.get(agency, 0) for agency in rest) for d, of in read.items()}
        rows.append(_row("", left, first, last))
    whole = _row("", {d: sum(of.values()) for d, of in read.items()}, first, last)
    return Days(first, last, whole, tuple(rows))


def _row(key: str, counts: Mapping[date, int], first: date, last: date) -> Row:
    most = max(counts.values(), default=0) or 1
    step = 1000 / ((last - first).days + 1)
    bars = tuple(
        DayBar(
            day, n, round((day - first).days * step + step * 0.1, 2), round(step * 0.8, 2),
            round(max(2.0, 100 * n / most), 2),
        )
        for day, n in sorted(counts.items())
        if n and day >= first
    )  # fmt: skip
    return Row(key, sum(counts.values()), bars)


def _day(moment: datetime) -> date:
    return moment.astimezone(CITY_ZONE).date()
