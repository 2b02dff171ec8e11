"""Which of a finding's events are kept as its samples, and which of them are shown first.

In: the rules by which events were read, in order of the events' time (a correlation's differ, others have the
one name ""). Out: places in that order. A correlation's finding may begin with hundreds of events of its first
rule, and the one that makes it grave (the login after the guesses) comes last: so the earliest event of each
rule is kept and shown, besides the earliest of all.

Invariant: what is kept of a set of events is a function of the set: kept(kept(a) + b) == kept(a + b).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

MAX_SAMPLES: Final = 20  # besides one of each further rule


def places_kept(rules: Iterable[str]) -> list[int]:
    """The earliest `MAX_SAMPLES`, and the earliest of each rule that is not among them."""
    seen: set[str] = set()
    found = []
    for place, rule in enumerate(rules):
        if place < MAX_SAMPLES or rule not in seen:
            found.append(place)
        seen.add(rule)
    return found


def kept(samples: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The samples to keep, in order of time."""
    ordered = sorted(samples, key=lambda s: (s["time"], s["event"]))
    return [ordered[place] for place in places_kept(s.get("rule", "") for s in ordered)]


def places_shown(rules: Sequence[str], most: int) -> list[int]:
    """At most `most`: the earliest of each rule, then the earliest of all."""
    firsts = dict(zip(reversed(rules), reversed(range(len(rules))), strict=True)).values()
    others = (place for place in range(len(rules)) if place not in firsts)
    return sorted([*sorted(firsts), *others][:most])
