"""Episodes: matches of one rule, agency and entity that lie no further apart than the quiet time.

In: the episodes that exist already (`Held`, only their ends matter) and new matches. Out: what each
touched episode becomes (`Change`): born, extended, or having absorbed others. Pure.

Times on a line, quiet time `─`:   held A ●●──●        ●──● held B        new match ○

    ●●──●  ○  ●──●      the new match lies within the quiet time of both: A, if it was created
    └── A ───────┘      first, absorbs B; B stays as *merged into A*.

Invariants, held by a brute-force oracle: the partition of all matches is a function of their set,
whatever their order, batching and repeats; an episode keeps the id that it was born with (hash of
rule, agency, entity and its first match at birth); of those that are joined the one created first
survives. A quiet time that a new revision of a rule changes holds for the matches that come after.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from pipeline.model import fold
from pipeline.model.detections import Match
from pipeline.model.ids import content_hash


class Held(msgspec.Struct, frozen=True):
    """An episode as the state holds it. Times in microseconds UTC; `born` is its place in the order
    of creation, which no clock can turn round."""

    id: str
    born: int
    first: int
    last: int


class Change(msgspec.Struct, frozen=True):
    """What an episode becomes: its ends, the matches that are new to it, the episodes that it absorbs."""

    id: str
    born: bool
    first: int
    last: int
    matches: tuple[Match, ...]
    absorbed: tuple[str, ...] = ()


def birth_id(match: Match) -> str:
    """The id of an episode whose first match at birth is `match`."""
    return content_hash("finding", match.rule, match.agency, fold.entity(match.entity), match.event)


def unite(held: Iterable[Held], matches: Iterable[Match], quiet: int) -> list[Change]:
    """What becomes of the episodes of one rule, agency and entity when matches come in.

    `held` are those that lie within the quiet time of a match (others do no harm); `matches` are new:
    their events are in no held episode. A repeated event counts once. In order of time.
    """
    fresh = sorted({m.event: m for m in matches}.values(), key=lambda m: (m.time, m.event))
    spans: list[tuple[int, int, Held | Match]] = [(h.first, h.last, h) for h in held]
    spans += [(m.time, m.time, m) for m in fresh]
    spans.sort(key=lambda span: span[:2])
    changes: list[Change] = []
    group: list[Held | Match] = []
    first = last = 0
    for start, end, item in spans:
        if group and start - last <= quiet:
            group.append(item)
            last = max(last, end)
            continue
        changes += _change(group, first, last)
        group, first, last = [item], start, end
    return changes + _change(group, first, last)


def _change(group: Sequence[Held | Match], first: int, last: int) -> list[Change]:
    matches = tuple(
        sorted((i for i in group if isinstance(i, Match)), key=lambda m: (m.time, m.event))
    )
    held = sorted((i for i in group if isinstance(i, Held)), key=lambda h: h.born)
    if not matches:  # untouched: held episodes are joined by matches alone
        return []
    if not held:
        return [Change(birth_id(matches[0]), True, first, last, matches)]
    absorbed = tuple(h.id for h in held[1:])
    return [Change(held[0].id, False, first, last, matches, absorbed)]
