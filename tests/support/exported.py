"""Why a query that sigma-cli writes with our taxonomy finds another set of events than the matcher.

In: a rule's trees, one event as a row, and what the query said of it. Out: the cause, or none. Each cause is a way in
which Lucene over our index asks a leaf otherwise; it is the cause when asking so turns the reference's answer into
the query's, alone or together with others. Where Lucene's answer cannot be worked out here (its regular expressions,
words anywhere), the leaf may be either: then the cause is that leaf's kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations, product
from typing import Any

from pipeline.detect.matching.reference import holds, value_of
from pipeline.detect.matching.text import texts
from pipeline.detect.matching.tree import FALSE, NUMBER_OPS, TRUE, Leaf, Node, rebuild
from pipeline.model.fold import lower
from pipeline.store.elasticsearch.columns import mapped

Row = Mapping[str, Any]
Way = Callable[[Leaf, Row], bool | None]
_TEXT = frozenset({"eq", "contains", "startswith", "endswith", "like"})


def _kind(leaf: Leaf) -> str:
    return mapped().get(leaf.field or "", "")


def _no_field(leaf: Leaf, row: Row) -> bool | None:
    """A name without a field, or a value that stands among the leftovers: the query sees none."""
    if leaf.field and (leaf.field not in mapped() or leaf.field not in row):
        return leaf.op == "null"
    return None


def _empty(leaf: Leaf, row: Row) -> bool | None:
    """`''`: a phrase of nothing is no question; `*` of an empty value."""
    if leaf.field and leaf.op in _TEXT and leaf.arg == "":
        return False
    return None


def _lower(leaf: Leaf, row: Row) -> bool | None:
    """Lower case as Lucene has it, character by character, of the value as it is: `ſ`, `ς` and the Kelvin sign
    stay what they are, and no form is composed."""
    if leaf.field and leaf.op in _TEXT and _kind(leaf) == "text":
        found = texts(value_of(row, leaf.field))
        if any(not one.isascii() for one in found):
            raw = value_of(row, leaf.field)
            own = [v for v in (raw if isinstance(raw, list) else [raw]) if isinstance(v, str)]
            return any(_asks(leaf, one) for one in own)
    return None


def _asks(leaf: Leaf, text: str) -> bool:
    """The leaf's question to a text in Lucene's lower case."""
    have = lower(text)
    match leaf.op:
        case "eq":
            return have == leaf.arg
        case "contains":
            return leaf.arg in have
        case "startswith":
            return have.startswith(leaf.arg)
        case "endswith":
            return have.endswith(leaf.arg)
    return holds(Leaf("x", leaf.op, leaf.arg, True), {"x": have})


def _typed(leaf: Leaf, row: Row) -> bool | None:
    """Numbers, times, addresses and truths: no part of them can be asked for, and text is no number."""
    if (
        leaf.field
        and _kind(leaf) in ("long", "float", "date", "ip", "boolean")
        and leaf.op in _TEXT
    ):
        return leaf.op == "eq" and holds(leaf, row)
    return None


def _either(*ops: str) -> Callable[[Leaf], bool]:
    return lambda leaf: leaf.field is not None and leaf.op in ops


KNOWN: dict[str, Way] = {
    "no field of its own": _no_field,
    "empty value": _empty,
    "letters beyond ASCII": _lower,
    "part of a number or an address": _typed,
}
"""Causes whose answer is worked out."""
OPEN: dict[str, Callable[[Leaf], bool]] = {
    "regular expression": _either("re"),
    "word anywhere": lambda leaf: leaf.field is None,
    "case kept": lambda leaf: leaf.cased,
    "number as text": lambda leaf: leaf.op in NUMBER_OPS and _kind(leaf) == "text",
    "network of a text": lambda leaf: leaf.op == "cidr" and _kind(leaf) != "ip",
}
"""Causes whose leaf may be answered either way."""


def cause(tree: Node, row: Row, said: bool) -> str:
    """The cause, several with plus signs between; empty when none is known."""
    names = [*KNOWN, *OPEN]
    for count in (1, 2, 3):
        for chosen in combinations(names, count):
            if any(one == said for one in _answers(tree, row, chosen)):
                return " + ".join(chosen)
    return ""


def _answers(tree: Node, row: Row, chosen: tuple[str, ...]) -> Iterator[bool]:
    """What the tree says when the leaves of these causes are asked as Lucene asks them."""
    ways = [KNOWN[name] for name in chosen if name in KNOWN]
    free = [OPEN[name] for name in chosen if name in OPEN]
    for values in product((False, True), repeat=len(free)):

        def ask(leaf: Leaf, values: tuple[bool, ...] = values) -> Node:
            for way in ways:
                answer = way(leaf, row)
                if answer is not None:
                    return TRUE if answer else FALSE
            for fits, value in zip(free, values, strict=True):
                if fits(leaf):
                    return TRUE if value else FALSE
            return TRUE if holds(leaf, row) else FALSE

        yield rebuild(tree, ask) == TRUE
