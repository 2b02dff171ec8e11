"""What is wrong with a source, by what it has sent lately and what it usually sends. Pure.

    silent   nothing came for so long that, by the rhythm of hour and weekday, `silence_events` were to be expected
             (without a rhythm of a day yet: nothing for `silence_hours`)
    lag      the newest event was `lag_minutes` old when it came
    skew     the newest event is `skew_minutes` ahead of its receipt: the sender's clock is wrong
    behind   hour after hour no event came sooner than so long after it happened, `skew_minutes` at the least and always
             the same: the sender's clock is behind, or its time zone is another than declared. Lag that comes and goes
             is lag
    failing  of the records of this hour and the last, `failure_share` could not be read
    volume   the last whole hour had `volume_factor` times as many records as usual, or so many times fewer
    resent   of the records of this hour and the last, `resend_share` came again

In: a `Sight` and the settings. Out: conditions with the figures that make them. A rhythm is learned of the five weeks
before the last record: the mean of the same hour of the same weekday, from two weeks on; before that, of the same hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pipeline.model.clock import CITY_ZONE
from pipeline.settings.values import HealthSettings

CONDITIONS: Final = ("silent", "lag", "skew", "behind", "failing", "volume", "resent")
HOUR: Final = timedelta(hours=1)
LEARNED: Final = timedelta(days=35)
_WEEKS: Final = timedelta(days=14)
_ALIKE: Final = 3  # hours that must tell the same
_STEADY: Final = 60.0  # seconds that they may differ
_LONGEST: Final = 24 * 7  # hours that are looked over for what was to be expected


@dataclass(frozen=True, slots=True)
class Hour:
    """Counts of one hour."""

    received: int = 0
    repeated: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Sight:
    """A source as it looks. `hours` by their beginnings; `newest` and `newest_received` are of the newest event that
    was settled; `least` is the least lag of each of the last hours in which something came, in seconds."""

    last_received: datetime | None
    newest: datetime | None
    newest_received: datetime | None
    hours: Mapping[datetime, Hour]
    least: tuple[float, ...] = ()


class Rhythm:
    """How much a source usually sends in an hour."""

    def __init__(self, hours: Mapping[datetime, Hour], until: datetime) -> None:
        known = {at: one.received for at, one in hours.items() if until - LEARNED <= at < until}
        self.begun = min(known, default=until)
        self._until, self._known = until, known

    def expected(self, at: datetime) -> float | None:
        """Records in the hour that begins at `at`; None while that is not known yet."""
        age = self._until - self.begun
        if age < timedelta(days=1):
            return None
        weekly = age >= _WEEKS
        here = at.astimezone(CITY_ZONE)
        counts = []
        step = timedelta(days=7 if weekly else 1)
        back = at - step * max(1, -(-(at - self._until) // step))
        while back >= self.begun and back.astimezone(CITY_ZONE).hour == here.hour:
            if back + HOUR <= self._until:
                counts.append(self._known.get(back, 0))
            back -= step
        return sum(counts) / len(counts) if counts else None


def conditions(sight: Sight, limits: HealthSettings, now: datetime) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    if sight.last_received is None:
        return found
    this = now.replace(minute=0, second=0, microsecond=0)
    if silence := _silence(sight, sight.last_received, limits, now):
        found["silent"] = silence
    if sight.newest is not None and sight.newest_received is not None:
        late = sight.newest_received - sight.newest
        if late >= timedelta(minutes=limits.lag_minutes):
            found["lag"] = {"minutes": int(late.total_seconds() // 60)}
        if -late >= timedelta(minutes=limits.skew_minutes):
            found["skew"] = {"minutes": int(-late.total_seconds() // 60)}
    if behind := _behind(sight, limits):
        found["behind"] = behind
        found.pop("lag", None)  # it is what the clock makes of it
    recent = [sight.hours.get(at, Hour()) for at in (this, this - HOUR)]
    received = sum(one.received for one in recent)
    for name, bad, share, least in (
        (
            "failing",
            sum(one.failures for one in recent),
            limits.failure_share,
            limits.failure_least,
        ),
        ("resent", sum(one.repeated for one in recent), limits.resend_share, limits.resend_least),
    ):
        if received and bad >= least and bad / received >= share:
            found[name] = {"records": bad, "of": received}
    if volume := _volume(sight, limits, this - HOUR):
        found["volume"] = volume
    return found


def _behind(sight: Sight, limits: HealthSettings) -> dict[str, Any] | None:
    last = sight.least[-_ALIKE:]
    if (
        len(last) < _ALIKE
        or min(last) < limits.skew_minutes * 60
        or max(last) - min(last) > _STEADY
    ):
        return None
    return {"minutes": int(min(last) // 60)}


def _silence(
    sight: Sight, last: datetime, limits: HealthSettings, now: datetime
) -> dict[str, Any] | None:
    quiet = now - last
    if quiet < timedelta(minutes=limits.silence_minutes):
        return None
    rhythm = Rhythm(sight.hours, last.replace(minute=0, second=0, microsecond=0))
    expected, known = 0.0, False
    at = last.replace(minute=0, second=0, microsecond=0)
    for _ in range(_LONGEST):
        if at >= now:
            break
        usual = rhythm.expected(at)
        known = known or usual is not None
        part = (min(now, at + HOUR) - max(last, at)) / HOUR
        expected += (usual or 0.0) * part
        at += HOUR
        if expected >= limits.silence_events:
            break
    silent = expected >= limits.silence_events if known else quiet >= limits.silence_hours * HOUR
    if not silent:
        return None
    return {"minutes": int(quiet.total_seconds() // 60)}


def _volume(sight: Sight, limits: HealthSettings, at: datetime) -> dict[str, Any] | None:
    rhythm = Rhythm(sight.hours, at)
    usual = rhythm.expected(at) if at - rhythm.begun >= _WEEKS else None
    count = sight.hours.get(at, Hour()).received
    if usual is None or max(usual, count) < limits.volume_least or not count:
        return None  # an hour without any is the silence's to judge
    factor = limits.volume_factor
    if count < max(usual, 1) * factor and usual < count * factor:
        return None
    return {"records": count, "expected": round(usual)}
