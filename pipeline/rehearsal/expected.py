"""From a script's words to the tickets it demands: one an episode of rule, agency and entity.

An episode is a maximal set of a rule's lines on one entity of one agency, no two neighbours further
apart in event time than the quiet time (one hour, as the rules of the drill have it). Originals are
the lines as sent, for a receiver takes framing off and the normaliser keeps the decoded text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta

from pipeline.rehearsal import cast
from pipeline.rehearsal.lines import By, ExpectedTicket, Line

QUIET = timedelta(hours=1)


def tickets(script: Iterable[Line]) -> list[ExpectedTicket]:
    """In order of rule, agency, entity and time."""
    lines: defaultdict[tuple[str, str, str, By], list[Line]] = defaultdict(list)
    for line in script:
        for trip in line.trips:
            agency = trip.agency or cast.SOURCE[line.source].agency
            lines[trip.rule, agency, trip.entity, trip.by].append(line)
    return [
        ExpectedTicket(
            rule, agency, entity, tuple(sorted(line.body.decode() for line in episode)), by,
            episode[0].story or "",
        )
        for (rule, agency, entity, by), found in sorted(lines.items())
        for episode in _episodes(sorted(found, key=lambda line: line.at))
    ]  # fmt: skip


def _episodes(lines: list[Line]) -> Iterator[list[Line]]:
    episode = lines[:1]
    for line in lines[1:]:
        if line.at - episode[-1].at > QUIET:
            yield episode
            episode = []
        episode.append(line)
    yield episode
