"""Anchors: for each rule some literals of which one must occur, so that most events never meet the rule.

In: a tree and how often each literal occurs. Out: the rarest set of literal leaves of which one holds
in every way that the tree can hold, or None. An AND takes the rarest of its children, an OR needs all
of them. Whatever is chosen is right; a bad choice costs time, never a finding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pipeline.detect.matching.required import required
from pipeline.detect.matching.tree import And, Const, Leaf, Node, Not, Or

Rate = Callable[[Leaf], float]
"""The share of events that a literal occurs in, about."""


class Anchor(NamedTuple):
    """`rate` bounds the share of events in which some of the leaves holds."""

    rate: float
    leaves: frozenset[Leaf]


def weakened(node: Node, keys: frozenset[str]) -> Node | None:
    """The tree with each leaf replaced by what it requires; None where nothing is. Leaves on `keys`
    require nothing: those are told apart before anchors are."""
    if isinstance(node, Leaf):
        return None if node.field in keys else _some(required(node))
    if isinstance(node, Const):
        return None if node.value else node
    if isinstance(node, Not):
        return None
    parts = [weakened(child, keys) for child in node.children]
    if isinstance(node, Or):
        return None if None in parts else Or(tuple(part for part in parts if part is not None))
    known = tuple(part for part in parts if part is not None)
    return And(known) if known else None


def _some(node: Node) -> Node | None:
    return None if isinstance(node, Const) and node.value else node


def anchor_of(weak: Node, rate: Rate) -> Anchor:
    """The cheapest anchor of a tree that `weakened` made."""
    if isinstance(weak, Leaf):
        return Anchor(rate(weak), frozenset((weak,)))
    if isinstance(weak, And):
        each = (anchor_of(child, rate) for child in weak.children)
        return min(each, key=lambda anchor: (anchor.rate, len(anchor.leaves)))
    if isinstance(weak, Or):
        found = [anchor_of(child, rate) for child in weak.children]
        return Anchor(
            sum(one.rate for one in found), frozenset().union(*(one.leaves for one in found))
        )
    return Anchor(0.0, frozenset())  # a tree that never holds
