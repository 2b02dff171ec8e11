"""The script: a day of the city's logs, in order, the same bytes for the same seed and start.

In go a seed, a start (aware) and a size; out come `Line`s by time. Randomness is taken from
`random.Random` seeded by text (which does not depend on PYTHONHASHSEED), one generator a source and
a story, so that a change to one leaves the others as they were.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

from pipeline.rehearsal import cast, rhythm
from pipeline.rehearsal.lines import Draft, ExpectedTicket, Line
from pipeline.rehearsal.wire import (
    bind,
    cisco_asa,
    fortigate,
    linux_auth,
    nginx,
    openvpn,
    postfix,
    postgresql,
    squid,
    windows,
    zimbra,
)

Noise = Callable[
    [cast.DrillSource, Random, list[datetime]], Iterable[tuple[datetime, bytes | dict[str, Any]]]
]

_NOISE: dict[str, tuple[Noise, tuple[int, ...]]] = {
    "bind": (bind.noise, rhythm.OFFICE),
    "cisco_asa": (cisco_asa.noise, rhythm.OFFICE),
    "fortinet_fortigate": (fortigate.noise, rhythm.OFFICE),
    "linux_auth": (linux_auth.noise, rhythm.SERVER),
    "nginx": (nginx.noise, rhythm.SERVER),
    "openvpn": (openvpn.noise, rhythm.OFFICE),
    "postfix": (postfix.noise, rhythm.OFFICE),
    "postgresql": (postgresql.noise, rhythm.SERVER),
    "squid": (squid.noise, rhythm.OFFICE),
    "windows": (windows.noise, rhythm.OFFICE),
    "zimbra": (zimbra.noise, rhythm.OFFICE),
}

FIRST_RECORD_ID = 104_000


@dataclass(frozen=True, slots=True)
class Script:
    """`records` is about how many lines of noise the day has; the stories come on top."""

    seed: int
    start: datetime
    records: int = 24_000

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise ValueError("the start of a rehearsal needs a zone")
        object.__setattr__(self, "start", self.start.astimezone(UTC))

    def __iter__(self) -> Iterator[Line]:
        drafts = [*self._noise(), *self.stories()]
        drafts.sort(
            key=lambda draft: draft.at
        )  # stable: lines of one instant keep the script's order
        return _finished(drafts)

    def stories(self) -> list[Draft]:
        """The six attacks, story by story."""
        from pipeline.rehearsal.stories.all import STORIES

        return [
            draft
            for name, tell in STORIES.items()
            for draft in tell(self.start, Random(f"{self.seed}/story/{name}"))
        ]

    def _noise(self) -> Iterator[Draft]:
        shares = sum(source.share for source in cast.SOURCES)
        for source in cast.SOURCES:
            rng = Random(f"{self.seed}/noise/{source.id}")
            make, weights = _NOISE[source.product]
            times = rhythm.moments(rng, self.start, self.records * source.share // shares, weights)
            for at, body in make(source, rng, times):
                yield Draft(at, source.id, body)


def _finished(drafts: Iterable[Draft]) -> Iterator[Line]:
    given: Counter[tuple[str, str]] = Counter()
    for draft in drafts:
        body = draft.body
        if not isinstance(body, bytes):
            winlog = dict(body["winlog"])
            place = (winlog["computer_name"], winlog["channel"])
            given[place] += 1
            winlog["record_id"] = str(FIRST_RECORD_ID + given[place])
            body = json.dumps(
                {**body, "winlog": winlog}, ensure_ascii=False, separators=(",", ":")
            ).encode()
        yield Line(draft.at, draft.source, body, draft.story, draft.trips)


def expected_tickets(script: Iterable[Line]) -> list[ExpectedTicket]:
    """The tickets that a script's own words demand: no rule is run for this."""
    from pipeline.rehearsal.expected import tickets

    return tickets(script)
