"""What numbers and times of day may be, by the names of settings: a slip must not delete or stop anything.

In: a setting's name and its value, of the right type. Out: what is expected instead; empty where it is well.
"""

from __future__ import annotations

import math
import re
from typing import Final

_TIME_OF_DAY: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_ABOVE_ZERO: Final = frozenset(
    [
        "batch",
        "days",
        "every_minutes",
        "lease_seconds",
        "max_connections",
        "max_record_bytes",
        "per_minute",
        "search_threads",
        "shards",
        "spool_segment_bytes",
        "stuck_after",
        "timeout",
        "window",
    ]
)


def expected_instead(name: str, value: object) -> str:
    """Numbers are finite and not below 0, ports and shares have an upper end, `at` is HH:MM."""
    if name == "at" and isinstance(value, str) and not _TIME_OF_DAY.fullmatch(value):
        return "HH:MM, 00:00 to 23:59"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if not math.isfinite(value) or value < 0 or (value == 0 and name in _ABOVE_ZERO):
        return "more than 0" if name in _ABOVE_ZERO else "0 or more"
    if name.endswith("share") and value > 1:
        return "0 to 1"
    if name.endswith("port") and value > 65_535:
        return "0 to 65535"
    return ""
