"""The time range of a search, from its address: a preset, or two times of the city's clock.

In: ``range=24h``, or ``from=2026-11-24T09:00&to=2026-11-24T10:30`` (Asia/Ho_Chi_Minh). Out: a
`TimeRange` and the step of its histogram, about sixty bars.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pipeline.model.clock import CITY_ZONE
from pipeline.model.errors import UsageError
from pipeline.store.base import TimeRange

PRESETS: Final = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
DEFAULT: Final = "24h"
_STEPS: Final = tuple(
    timedelta(seconds=s)
    for s in (15, 60, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_592_000)
)
BARS: Final = 60


@dataclass(frozen=True, slots=True)
class Span:
    """`preset` is empty when two times were given. `start` and `stop` bound the histogram."""

    preset: str
    start: datetime
    stop: datetime
    step: timedelta

    @property
    def when(self) -> TimeRange:
        # Events of clocks that run ahead belong to "the last hour" too.
        return TimeRange(self.start, self.stop if not self.preset else None)

    def local(self, moment: datetime) -> str:
        """For ``<input type="datetime-local">``."""
        return moment.astimezone(CITY_ZONE).strftime("%Y-%m-%dT%H:%M:%S")


def span(preset: str, start: str, stop: str, *, now: datetime) -> Span:
    if start or stop:
        end = city_time(stop) if stop else now
        begin = city_time(start) if start else end - PRESETS[DEFAULT]
        if begin >= end:
            raise UsageError("the time range is empty", got=f"{start} to {stop}")
        return Span("", begin, end, _step(end - begin))
    chosen = preset or DEFAULT
    if chosen not in PRESETS:
        raise UsageError("no such time range", got=repr(chosen[:20]), expected=", ".join(PRESETS))
    length = PRESETS[chosen]
    return Span(chosen, now - length, now, _step(length))


def city_time(text: str) -> datetime:
    """What ``<input type="datetime-local">`` sends: a time of the city's clock, in UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError("not a time", got=repr(text[:40])) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=CITY_ZONE)
    return moment.astimezone(UTC)


def _step(length: timedelta) -> timedelta:
    return next((step for step in _STEPS if length / step <= BARS), _STEPS[-1])
