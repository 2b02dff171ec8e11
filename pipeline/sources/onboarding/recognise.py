"""Which product wrote these lines: every product is tried on them, and each gets a score with its reasons. Pure.

In: lines as text, compiled products. Out: `Candidate` values, the best first. A line counts as far as the product
understands it: not at all where it cannot be read; fully where it is of a message kind that the product names and
all its fields have a place, or where it holds a mark that the product declares; a little where only the format fits
(any JSON is JSON). `generic`, which takes everything, always stands last.

    recognise(["<189>date=2026-11-24 time=09:00:00 devname=\\"FG\\" logid=…"], load_products())[0].product
    'fortinet_fortigate'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec
import re2

from collectors.formats.parsed import Group
from collectors.formats.patterns import OTHER
from pipeline.normalise.lines import tell
from pipeline.normalise.plan import Kind
from pipeline.normalise.product import Product

GENERIC: Final = "generic"
TRIED: Final = 60  # lines that every product is tried on
GOOD: Final = 0.5  # from here on a product is recognised
CLOSE: Final = 0.12  # candidates no further apart are shown side by side
_NAMED: Final = 0.4  # of a line's worth: that its message kind is one that the product names
_LOOKED_AT: Final = 4_096  # characters of a line in which a mark is looked for
_PARTS: Final = 3  # fields that a pattern takes out of a line to be sure of it
_TEXT: Final = 0.08  # a line that is kept as text only


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One product and how far it understands the lines. `score` from 0 to 1. Of `lines`: `read` could be parsed,
    `named` are of a message kind of the product, `failed` were not understood (`why`: the first reason). Of
    `fields` that were found, `mapped` have a place in ECS. `kinds` are the message kinds seen, the most first."""

    product: str
    title: str
    score: float
    lines: int
    read: int
    named: int
    failed: int
    fields: int
    mapped: int
    kinds: tuple[str, ...] = ()
    why: str = ""
    proven: bool = False

    @property
    def good(self) -> bool:
        return self.score >= GOOD


def recognise(lines: Sequence[str], products: Mapping[str, Product]) -> list[Candidate]:
    """Every product that reads at least one line, the best first; `generic` last."""
    tried = [line for line in lines if line.strip()][:TRIED]
    found = [judge(tried, product) for product in products.values()] if tried else []
    return sorted(
        (one for one in found if one.read),
        key=lambda one: (one.product == GENERIC, -one.score, -one.mapped, one.product),
    )


def close(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that a person should look at side by side: the best, and whoever comes near it; at most three."""
    named = [one for one in candidates if one.product != GENERIC]
    if not named or not named[0].good:
        return []
    best = named[0].score
    return [one for one in named if one.good and best - one.score <= CLOSE][:3]


def recognised(candidates: Sequence[Candidate]) -> str:
    """The product to go on with: the best if it is good, else `generic`."""
    first = candidates[0] if candidates else None
    return first.product if first is not None and first.good else GENERIC


def judge(lines: Sequence[str], product: Product) -> Candidate:
    """How far one product understands the lines."""
    if product.spec.format["body"] == "csv":  # commas alone make no table: an object is none
        lines = ["" if line.lstrip()[:1] == "{" else line for line in lines]
    try:
        told = tell(product, [line or None for line in lines])
    except Exception as error:  # noqa: BLE001 - hostile lines: this product does not understand them
        return _nothing(product, lines, f"{type(error).__name__}: {error}"[:200])
    worth, named, read = 0.0, 0, 0
    fields: dict[str, bool] = {}
    kinds: dict[str, int] = {}
    text = product.spec.format["body"] in {"patterns", "text", "any"}
    delimited = product.spec.format["body"] == "csv"  # any line with a few commas fits some columns
    for kind, group in told.groups:
        count = len(group.rows)
        own = _own_fields(group)
        known = {name: _known(product, kind, name) for name in own}
        fields |= {name: known[name] or fields.get(name, False) for name in own}
        kinds[kind.name] = kinds.get(kind.name, 0) + count
        read += count
        share = sum(known.values()) / len(own) if own else 0.0
        bare = kind.name == OTHER
        named += 0 if bare else count
        if product.name == GENERIC or (text and bare):
            worth += _TEXT * count
        elif bare:
            worth += (1 - _NAMED if product.spec.kinds or delimited else 1) * share * count
        else:
            known_parts = min(1.0, len(own) / _PARTS) if text else share
            worth += (_NAMED + (1 - _NAMED) * known_parts) * count
    judged = max(1, len(lines) - len(told.dropped))
    why = next(iter(told.failures.values()), "")
    return Candidate(
        product=product.name, title=product.title, score=round(max(worth, _marked(lines, product)) / judged, 3),
        lines=len(lines), read=read,
        named=named, failed=len(told.failures), fields=len(fields), mapped=sum(fields.values()),
        kinds=tuple(name for name in sorted(kinds, key=lambda n: -kinds[n]) if name != OTHER), why=why[:200],
        proven=product.proven,
    )  # fmt: skip


def _marked(lines: Sequence[str], product: Product) -> int:
    """Lines that hold a mark of the product (`recognise` in its file), whether it knows their kind or not."""
    marks = _marks(product.spec.recognise)
    return sum(any(mark(line[:_LOOKED_AT]) for mark in marks) for line in lines)


@cache
def _marks(patterns: tuple[str, ...]) -> tuple[Callable[[str], Any], ...]:
    return tuple(re2.compile(one).search for one in patterns)


def _own_fields(group: Group) -> list[str]:
    """Fields of the line itself: not its syslog header, not the text as a whole."""
    return [name for name in group.names if not name.startswith("syslog.") and name != "message"]


def _known(product: Product, kind: Kind, name: str) -> bool:
    """Whether the field has a place: a mapping (or is left out knowingly), a kept prefix, a name of ECS."""
    planner = product.planner
    if name in kind.slots or name.startswith(tuple(planner.keep)):
        return True
    return planner.take_ecs and name in product.types.ecs


def _nothing(product: Product, lines: Sequence[str], why: str) -> Candidate:
    return Candidate(
        product=product.name, title=product.title, score=0.0, lines=len(lines), read=0, named=0, failed=len(lines),
        fields=0, mapped=0, why=why, proven=product.proven,
    )  # fmt: skip
