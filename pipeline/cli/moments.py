"""Times as people write them on a command line.

``24h`` (15m, 7d, 2w: so long ago) · ``2026-11-24`` · ``2026-11-24T09:00`` · ``24/11/2026 09:00:00`` as the
tables print them. A time without a zone is the city's.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from pipeline.model.clock import CITY_ZONE
from pipeline.model.errors import UsageError

_AGO: Final = re.compile(r"(\d{1,6})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_CITY: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?:[ T](.+))?")


def moment(text: str, option: str, *, now: datetime) -> datetime | None:
    """The time in UTC; None for an empty text. Raises `UsageError` that names the option."""
    text = text.strip()
    if not text:
        return None
    iso = text
    if city := _CITY.fullmatch(text):
        iso = f"{city[3]}-{city[2]:0>2}-{city[1]:0>2}" + (f"T{city[4]}" if city[4] else "")
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(iso)
        if found.tzinfo is None:
            found = found.replace(tzinfo=CITY_ZONE)
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            "this is no time", where=option, got=repr(text[:40]),
            expected="24h, 7d, 2026-11-24, 2026-11-24T09:00 or 24/11/2026 09:00",
        ) from None  # fmt: skip
