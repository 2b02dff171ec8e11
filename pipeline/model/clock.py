"""Time: aware UTC in values, microseconds since 1970 in rows and columns, the city's zone for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

CITY_ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_now() -> datetime:
    """The present. Called at the edges only; inside, time is an argument."""
    return datetime.now(UTC)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware time; exact (no floating point)."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def to_iso(moment: datetime) -> str:
    """``2026-11-24T09:00:00.000Z``: what ECS documents carry, milliseconds kept, UTC."""
    utc = moment.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"


def for_people(moment: datetime, zone: ZoneInfo = CITY_ZONE) -> str:
    """``24/11/2026 16:00:00``: how the city writes a time."""
    return moment.astimezone(zone).strftime("%d/%m/%Y %H:%M:%S")
