"""A histogram as numbers for an SVG: no script, no style, and its figures as text beside it.

In: ``[(moment, count), …]`` from the store, in any order, empty steps left out or not. Out: bars in
units of a 1000 × 100 picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pipeline.console.spans import Span
from pipeline.model.clock import EPOCH

WIDTH, HEIGHT = 1000.0, 100.0


@dataclass(frozen=True, slots=True)
class Bar:
    """`start` to `stop` is what the bar stands for; the rest is where it is drawn."""

    start: datetime
    stop: datetime
    count: int
    x: float
    y: float
    width: float
    height: float


def bars(counts: Iterable[tuple[datetime, int]], span: Span) -> list[Bar]:
    found = sorted((moment, count) for moment, count in counts if count)
    most = max((count for _, count in found), default=0)
    # Stores count in steps since 1970: the axis holds every whole step that the span touches.
    low = EPOCH + (span.start - EPOCH) // span.step * span.step
    steps = (span.stop - low) // span.step + 1
    width = WIDTH / steps
    gap = min(2.0, width / 4)
    made = []
    for moment, count in found:
        place = min(max(0.0, (moment - low) / span.step), steps - 1.0)
        height = max(2.0, HEIGHT * count / most)
        made.append(
            Bar(
                start=moment,
                stop=moment + span.step,
                count=count,
                x=round(place * width + gap / 2, 2),
                y=round(HEIGHT - height, 2),
                width=round(width - gap, 2),
                height=round(height, 2),
            )
        )
    return made
