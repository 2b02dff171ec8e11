"""When things happen in a city office: most between half past seven and five, little at night."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import accumulate
from random import Random

from pipeline.model.clock import CITY_ZONE

OFFICE = (1, 1, 1, 1, 1, 1, 2, 7, 12, 12, 12, 10, 4, 10, 12, 12, 11, 6, 3, 2, 2, 2, 1, 1)
"""Weight of each local hour for what people do at work."""

SERVER = (3, 3, 3, 3, 3, 3, 4, 6, 8, 8, 8, 7, 6, 7, 8, 8, 7, 6, 6, 6, 6, 5, 4, 3)
"""Weight of each local hour for what the public and machines do."""

_HOURS = 24


def moments(rng: Random, start: datetime, count: int, weights: tuple[int, ...]) -> list[datetime]:
    """`count` moments, in order, within the 24 hours from `start`, to the millisecond."""
    first = start.astimezone(CITY_ZONE).hour
    sums = list(accumulate(weights[(first + hour) % _HOURS] for hour in range(_HOURS)))
    hours = rng.choices(range(_HOURS), cum_weights=sums, k=count)
    return sorted(
        start + timedelta(hours=hour, milliseconds=rng.randrange(3_600_000)) for hour in hours
    )
