"""What a source would feed: the rules that can fire by it, those that are new to its agency, and ATT&CK techniques. Pure.

In: what is judged of the living rules, which are on, a product, the datasets of its sample lines, and what the agency's
other published sources run. Out: `Feeds`. *By the sample*: rules that read events like the sample's. *By the product*:
those that it can feed when it sends every kind of message that it can.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Final

import msgspec

from pipeline.detect.proof.law import attack_tactics
from pipeline.detect.reads.standing import Judged

_TECHNIQUE: Final = "attack.t"


class Technique(msgspec.Struct, frozen=True):
    """`id` as ATT&CK writes it (T1059.001); how many rules that the product feeds look for it; whether any of them
    could fire at the agency before."""

    id: str
    tactics: tuple[str, ...]
    rules: int
    new: bool


class Feeds(msgspec.Struct, frozen=True):
    """Rule ids, sorted. `sampled` is part of `fed`, so is `new`: what nothing else of the agency feeds."""

    sampled: tuple[str, ...] = ()
    fed: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    techniques: tuple[Technique, ...] = ()

    @property
    def new_techniques(self) -> int:
        return sum(one.new for one in self.techniques)

    @property
    def by_tactic(self) -> dict[str, list[Technique]]:
        """Each technique under every tactic that it serves."""
        found: dict[str, list[Technique]] = {}
        for one in self.techniques:
            for tactic in one.tactics or ("",):
                found.setdefault(tactic, []).append(one)
        return dict(sorted(found.items(), key=lambda pair: _order().get(pair[0], 99)))


TACTICS: Final = (
    "reconnaissance", "resource-development", "initial-access", "execution", "persistence", "privilege-escalation",
    "stealth", "defense-evasion", "defense-impairment", "credential-access", "discovery", "lateral-movement",
    "collection", "command-and-control", "exfiltration", "impact",
)  # fmt: skip


def feeds(
    judged: Judged,
    active: Collection[str],
    product: str,
    datasets: Collection[str],
    has: Collection[str],
) -> Feeds:
    """`active`: ids of the rules that are switched on. `has`: products of the agency's published sources."""
    on = frozenset(active)
    before = judged.running({"agency": frozenset(has)}) & on
    after = judged.running({"agency": frozenset(has) | {product}}) & on
    alone = (judged.fed_by(product) & on) | (after - before)
    sampled = judged.fed_by(product, frozenset(datasets)) & on
    new = after - before
    return Feeds(
        tuple(sorted(sampled)), tuple(sorted(alone)), tuple(sorted(new)),
        _techniques(judged.tags, alone, before),
    )  # fmt: skip


def _techniques(
    tags: Mapping[str, Collection[str]], fed: Collection[str], before: Collection[str]
) -> tuple[Technique, ...]:
    lit = {tag for rule in before for tag in _of(tags.get(rule, ()))}
    counts: dict[str, int] = {}
    for rule in fed:
        for tag in _of(tags.get(rule, ())):
            counts[tag] = counts.get(tag, 0) + 1
    return tuple(
        Technique(name.upper(), tactics_of().get(name, ()), count, name not in lit)
        for name, count in sorted(counts.items())
    )


def _of(tags: Collection[str]) -> set[str]:
    """Techniques among a rule's tags: t1059.001."""
    return {
        tag.removeprefix("attack.").lower()
        for tag in tags
        if tag.lower().startswith(_TECHNIQUE) and tag[len(_TECHNIQUE) :][:1].isdigit()
    }


@cache
def tactics_of() -> dict[str, tuple[str, ...]]:
    """ATT&CK technique (t1059.001) → its tactics."""
    return {name: tuple(sorted(tactics)) for name, tactics in attack_tactics().items()}


@cache
def _order() -> dict[str, int]:
    return {name: place for place, name in enumerate(TACTICS)}
