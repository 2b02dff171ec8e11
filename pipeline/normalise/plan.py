"""What to do with each field of a shape: which converter, which column, or the leftovers.

A plan is made once for each kind and tuple of names, and remembered; lines then cost no decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from collectors.formats.text import clean
from pipeline.model.events import ENVELOPE, EXTRA
from pipeline.normalise.compile import Entry, Types

MAX_PLANS: Final = 20_000
MAX_NAMES: Final = 300  # of a plan that is remembered
_OWN: Final = frozenset(ENVELOPE)


@dataclass(frozen=True, slots=True)
class Kind:
    """A message kind, compiled. `slots` gives the entries (indices) of each raw field."""

    name: str
    dataset: str
    when: Mapping[str, frozenset[str]]
    constants: Mapping[str, Any]
    slots: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Plan:
    """By position in the shape: entries to run on it, columns to copy, names for the leftovers;
    and fields to join first (positions, separator, entries)."""

    slots: tuple[tuple[int, tuple[int, ...]], ...]
    verbatim: tuple[tuple[int, str], ...]
    extra: tuple[tuple[int, str], ...]
    joined: tuple[tuple[tuple[int, ...], str, tuple[int, ...]], ...]


@dataclass(slots=True)
class Planner:
    """Makes plans. `known` are the names that rules use: they get columns. `prefix` begins the name
    of what has no mapping; `keep` names raw prefixes that are copied always, mapped or not."""

    entries: Sequence[Entry]
    types: Types
    known: frozenset[str]
    prefix: str
    take_ecs: bool
    drop: frozenset[str]
    keep: Mapping[str, str]
    combine: Mapping[str, tuple[tuple[str, ...], str]]
    _plans: dict[tuple[int, tuple[str, ...], frozenset[str] | None], Plan] = field(
        default_factory=dict
    )

    def plan(self, kind: Kind, names: tuple[str, ...], wanted: frozenset[str] | None) -> Plan:
        key = (id(kind), names, wanted)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= MAX_PLANS:  # hostile names
                self._plans.clear()
            plan = self._make(kind, names, wanted)
            if len(names) <= MAX_NAMES:
                self._plans[key] = plan
        return plan

    def _useful(self, slots: Sequence[int], wanted: frozenset[str] | None) -> tuple[int, ...]:
        if wanted is None:
            return tuple(slots)
        return tuple(s for s in slots if any(t in wanted for t in self.entries[s].targets))

    def _make(self, kind: Kind, names: tuple[str, ...], wanted: frozenset[str] | None) -> Plan:
        slots: list[tuple[int, tuple[int, ...]]] = []
        verbatim: list[tuple[int, str]] = []
        extra: list[tuple[int, str]] = []
        joined: list[tuple[tuple[int, ...], str, tuple[int, ...]]] = []
        places = {name: position for position, name in enumerate(names)}
        consumed: set[str] = set()
        for name, (parts, separator) in self.combine.items():
            if name not in places and name in kind.slots and all(part in places for part in parts):
                consumed.update(parts)
                useful = self._useful(kind.slots[name], wanted)
                if useful:
                    joined.append((tuple(places[part] for part in parts), separator, useful))
        for position, name in enumerate(names):
            mapped = kind.slots.get(name)
            if mapped is not None:
                useful = self._useful(mapped, wanted)
                if useful:
                    slots.append((position, useful))
            kept = self._kept(name)
            if kept is None and (mapped is not None or name in consumed or self._dropped(name)):
                continue
            full = clean(kept or self._rest(name))
            if wanted is not None:
                if full in wanted:
                    verbatim.append((position, full))
                elif EXTRA in wanted:
                    extra.append((position, full))
            elif full in self.known or (self.take_ecs and full in self.types.ecs):
                verbatim.append((position, full))
            else:
                extra.append((position, full))
        return Plan(tuple(slots), tuple(verbatim), tuple(extra), tuple(joined))

    def _kept(self, name: str) -> str | None:
        for prefix, target in self.keep.items():
            if name.startswith(prefix):
                return target + name[len(prefix) :]
        return None

    def _dropped(self, name: str) -> bool:
        return name in self.drop or any(
            d.endswith("*") and name.startswith(d[:-1]) for d in self.drop
        )

    def _rest(self, name: str) -> str:
        """A field without a mapping; a sender cannot name the pipeline's own fields."""
        if self.take_ecs and name in self.types.ecs and self.types.ecs.field(name).kind != "object":
            own = name in _OWN or name.startswith(("organization.", "thapcanh."))
            if not own:
                return name
        return self.prefix + name
