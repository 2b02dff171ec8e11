"""The small form that every rule is brought into: and, or, not over leaves.

In: pySigma's parsed detections (`parse.py`). Out: the same tree for the reference evaluator, for the
matcher and for the cache on disk. A leaf is one question to one field of one event:

    Leaf("winlog.event_data.Image", "endswith", "\\powershell.exe")
    Leaf("winlog.event_data.CommandLine", "re", "(?i)-enc\\s")
    Leaf(None, "contains", "mimikatz")                     # a keyword: any value of the record

Invariants: the argument of an uncased text leaf is folded (`text.fold`) and in NFC; `And` and `Or`
hold two children or more, no two equal, no child of their own kind; a constant stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

TEXT_OPS: Final = frozenset({"eq", "contains", "startswith", "endswith", "like", "re"})
NUMBER_OPS: Final = frozenset({"lt", "lte", "gt", "gte"})
REF_OPS: Final = frozenset({"ref_eq", "ref_contains", "ref_startswith", "ref_endswith"})
TIME_OPS: Final = frozenset({"minute", "hour", "day", "week", "month", "year"})


class Leaf(msgspec.Struct, frozen=True, tag="l", array_like=True):
    """One question to one field. `field` None is a keyword: some value of the whole record.

    `op` is one of: `eq contains startswith endswith like re` (text; `like` holds wildcards in
    Sigma's own escapes), `lt lte gt gte` (a number in `arg`), `cidr`, `null`, `exists`,
    `ref_eq ref_contains ref_startswith ref_endswith` (`arg` names the other field),
    `minute hour day week month year` (of a time, UTC), `unfilled` (a placeholder without values).
    """

    field: str | None
    op: str
    arg: str = ""
    cased: bool = False


class Const(msgspec.Struct, frozen=True, tag="c", array_like=True):
    value: bool


class Not(msgspec.Struct, frozen=True, tag="n", array_like=True):
    child: Node


class And(msgspec.Struct, frozen=True, tag="a", array_like=True):
    children: tuple[Node, ...]


class Or(msgspec.Struct, frozen=True, tag="o", array_like=True):
    children: tuple[Node, ...]


Node = Leaf | Const | Not | And | Or
TRUE: Final = Const(True)
FALSE: Final = Const(False)


def all_of(children: Iterable[Node]) -> Node:
    """The conjunction, flattened and without repeats; `TRUE` for none."""
    flat: dict[Node, None] = {}
    for child in children:
        if isinstance(child, And):
            flat.update(dict.fromkeys(child.children))
        elif child == FALSE:
            return FALSE
        elif child != TRUE:
            flat[child] = None
    return next(iter(flat)) if len(flat) == 1 else And(tuple(flat)) if flat else TRUE


def any_of(children: Iterable[Node]) -> Node:
    """The disjunction, flattened and without repeats; `FALSE` for none."""
    flat: dict[Node, None] = {}
    for child in children:
        if isinstance(child, Or):
            flat.update(dict.fromkeys(child.children))
        elif child == TRUE:
            return TRUE
        elif child != FALSE:
            flat[child] = None
    return next(iter(flat)) if len(flat) == 1 else Or(tuple(flat)) if flat else FALSE


def negate(child: Node) -> Node:
    if isinstance(child, Const):
        return FALSE if child.value else TRUE
    return child.child if isinstance(child, Not) else Not(child)


def leaves(node: Node) -> Iterator[Leaf]:
    """Every leaf of a tree, from left to right, repeats included."""
    stack: list[Node] = [node]
    while stack:
        here = stack.pop()
        if isinstance(here, Leaf):
            yield here
        elif isinstance(here, Not):
            stack.append(here.child)
        elif isinstance(here, And | Or):
            stack.extend(reversed(here.children))


def rebuild(node: Node, change: Callable[[Leaf], Node]) -> Node:
    """The tree with each leaf replaced by what `change` makes of it, simplified on the way up."""
    if isinstance(node, Leaf):
        return change(node)
    if isinstance(node, Not):
        return negate(rebuild(node.child, change))
    if isinstance(node, And):
        return all_of(rebuild(child, change) for child in node.children)
    if isinstance(node, Or):
        return any_of(rebuild(child, change) for child in node.children)
    return node
