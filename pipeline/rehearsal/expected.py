"""From a script's words to the tickets it demands: one an episode of rule, agency and entity.

An episode is a maximal set of a rule's lines on one entity of one agency, no two neighbours further
apart in event time than the quiet time (one hour, as the rules of the drill have it). Originals are
the lines as sent, for a receiver takes framing off and the normaliser keeps the decoded text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta

from pipeline.model import fold
from pipeline.rehearsal import cast
from pipeline.rehearsal.lines import By, ExpectedTicket, Line

QUIET = timedelta(hours=1)


def tickets(script: Iterable[Line]) -> list[ExpectedTicket]:
    """In order of rule, agency, entity and time."""
    lines: defaultdict[tuple[str, str, str, By], list[Line]] = defaultdict(list)
    spelled: dict[tuple[str, str, str, By], str] = {}
    for line in script:
        for trip in line.trips:
            agency = trip.agency or cast.SOURCE[line.source].agency
            key = (trip.rule, agency, fold.entity(trip.entity), trip.by)
            lines[key].append(line)
            spelled.setdefault(key, trip.entity)
    return [
        ExpectedTicket(
            key[0], key[1], spelled[key], tuple(sorted(line.body.decode() for line in episode)),
            key[3], episode[0].story or "",
        )
        for key, found in sorted(lines.items())
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
