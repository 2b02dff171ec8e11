"""Which product wrote these lines: every product is tried on them, and each gets a score with its reasons. Pure.

In: lines as text, compiled products. Out: `Candidate` values, the best first. A line counts as far as the product
understands it: not at all where it cannot be read; fully where it is of a message kind that the product names and
all its fields have a place, or where it holds a mark that the product declares; a little where only the format fits
(any JSON is JSON), or a kind that others write as well (`shared`). A line that holds the mark of others counts for
nobody else as more than that. `generic`, which takes everything, always stands last.

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
_UNSURE: Final = 0.45  # at most, for a line that is no proof of the product: below `GOOD`


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
    marked = {name: _marked(tried, product) for name, product in products.items()}
    of_someone = frozenset[int]().union(*marked.values())
    found = [
        judge(tried, product, marked[name], of_someone - marked[name])
        for name, product in products.items()
        if tried
    ]
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


def judge(
    lines: Sequence[str], product: Product, marked: frozenset[int], foreign: frozenset[int]
) -> Candidate:
    """How far one product understands the lines; which of them hold its marks, which only those of others."""
    if product.spec.format["body"] == "csv":  # commas alone make no table: an object is none
        lines = ["" if line.lstrip()[:1] == "{" else line for line in lines]
    try:
        told = tell(product, [line or None for line in lines])
    except Exception as error:  # noqa: BLE001 - hostile lines: this product does not understand them
        return _nothing(product, lines, f"{type(error).__name__}: {error}"[:200])
    worth, named, read = [0.0] * len(lines), 0, 0
    fields: dict[str, bool] = {}
    kinds: dict[str, int] = {}
    shared = {kind.name for kind in product.spec.kinds if kind.shared}
    vendors = product.spec.format["body"] in {"cef", "leef"} and bool(product.spec.recognise)
    for kind, group in told.groups:
        count = len(group.rows)
        own = _own_fields(group)
        known = {name: _known(product, kind, name) for name in own}
        fields |= {name: known[name] or fields.get(name, False) for name in own}
        kinds[kind.name] = kinds.get(kind.name, 0) + count
        read += count
        named += 0 if kind.name == OTHER else count
        each = _worth(product, kind, known)
        unsure = kind.name in shared or vendors
        for row in group.rows:
            worth[row] = min(each, _UNSURE) if unsure or row in foreign else each
    for row in marked:
        worth[row] = 1.0
    judged = max(1, len(lines) - len(told.dropped))
    why = next(iter(told.failures.values()), "")
    return Candidate(
        product=product.name, title=product.title, score=round(sum(worth) / judged, 3),
        lines=len(lines), read=read,
        named=named, failed=len(told.failures), fields=len(fields), mapped=sum(fields.values()),
        kinds=tuple(name for name in sorted(kinds, key=lambda n: -kinds[n]) if name != OTHER), why=why[:200],
        proven=product.proven,
    )  # fmt: skip


def _worth(product: Product, kind: Kind, known: Mapping[str, bool]) -> float:
    """What a line of this kind says for the product; of its own fields, which have a place."""
    body = product.spec.format["body"]
    text = body in {"patterns", "text", "any"}
    share = sum(known.values()) / len(known) if known else 0.0
    if product.name == GENERIC or (text and kind.name == OTHER):
        return _TEXT
    if kind.name == OTHER:  # the format fits: any line with a few commas fits some columns
        return _UNSURE * share if product.spec.kinds or body == "csv" else share
    return _NAMED + (1 - _NAMED) * (min(1.0, len(known) / _PARTS) if text else share)


def _marked(lines: Sequence[str], product: Product) -> frozenset[int]:
    """Lines that hold a mark of the product (`recognise` in its file), whether it knows their kind or not."""
    marks = _marks(product.spec.recognise)
    return frozenset(
        row for row, line in enumerate(lines) if any(mark(line[:_LOOKED_AT]) for mark in marks)
    )


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
