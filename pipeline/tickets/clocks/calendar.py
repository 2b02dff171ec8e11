"""Working time: how much of it lies between two moments, and when so much of it will have passed. Pure.

In: a `Calendar` (hours of a day, weekdays, days off and days worked in exchange) and aware times. Out: seconds,
or a time in UTC. Invariant: ``working_seconds(c, t, working_end(c, t, n)) == n``, over nights, weekends, holidays
and the ends of months. A year that the calendar does not list has its fixed days off alone (`listed` says so).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

_LONGEST = 3_700  # days that a span of working time may reach over


class Calendar(msgspec.Struct, frozen=True):
    """`hours` are local opening and closing times of a working day, in order; `weekdays` from 1 (Monday)."""

    zone: ZoneInfo
    hours: tuple[tuple[time, time], ...]
    weekdays: frozenset[int]
    fixed: frozenset[tuple[int, int]]
    off: frozenset[date]
    worked: frozenset[date]
    years: frozenset[int]

    def works(self, day: date) -> bool:
        if day in self.worked:
            return True
        if day in self.off or (day.month, day.day) in self.fixed:
            return False
        return day.isoweekday() in self.weekdays

    def listed(self, year: int) -> bool:
        return year in self.years

    def openings(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        """The working hours of a day, in UTC."""
        if self.works(day):
            for start, stop in self.hours:
                yield (
                    datetime.combine(day, start, self.zone).astimezone(UTC),
                    datetime.combine(day, stop, self.zone).astimezone(UTC),
                )


def working_seconds(calendar: Calendar, start: datetime, stop: datetime) -> int:
    """Seconds of working time from `start` to `stop`; 0 if it does not lie after."""
    total = timedelta()
    for begin, end in _openings_from(calendar, start, stop):
        total += max(timedelta(), min(end, stop) - max(begin, start))
    return int(total.total_seconds())


def working_end(calendar: Calendar, start: datetime, seconds: int) -> datetime:
    """When so many seconds of working time after `start` will have passed."""
    left = timedelta(seconds=max(0, seconds))
    if not left:
        return start
    horizon = start + timedelta(days=_LONGEST)
    for begin, end in _openings_from(calendar, start, horizon):
        here = end - max(begin, start)
        if here >= left:
            return max(begin, start) + left
        left -= max(timedelta(), here)
    raise ValueError("the calendar has no working time")


def _openings_from(
    calendar: Calendar, start: datetime, stop: datetime
) -> Iterator[tuple[datetime, datetime]]:
    day = start.astimezone(calendar.zone).date()
    last = stop.astimezone(calendar.zone).date()
    while day <= last:
        for begin, end in calendar.openings(day):
            if end > start and begin < stop:
                yield begin, end
        day += timedelta(days=1)
