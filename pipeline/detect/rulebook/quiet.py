"""A rule's quiet time: how far apart two matches may be and still be one episode.

thapcanh: {quiet: 30m}        # s, m, h, d; absent: one hour
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pipeline.detect.rulebook.rules import DEFAULT_QUIET
from pipeline.model.errors import UsageError

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def read_quiet(rule: Mapping[str, Any]) -> int:
    """Seconds. Raises `UsageError` on anything but a number and a unit, up to 30 days."""
    own = rule.get("thapcanh")
    given = own.get("quiet") if isinstance(own, Mapping) else rule.get("thapcanh.quiet")
    if given is None:
        return DEFAULT_QUIET
    found = re.fullmatch(r"(\d{1,6})\s*([smhd])", str(given).strip())
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 0 < seconds <= 30 * 86400:
        raise UsageError(
            "thapcanh.quiet is no span of time", got=str(given), expected="such as 30m, 1h, 2d"
        )
    return seconds
