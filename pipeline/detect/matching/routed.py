"""A rule tied to one way of reading it: a route of the taxonomy, in column names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from pipeline.detect.matching.tree import Leaf, Node, all_of, any_of

Where = Mapping[str, tuple[str, ...]]


class Routed:
    """`rule` is its place in the set, `where` the route's condition (folded values by column)."""

    def __init__(self, rule: int, where: Where, tree: Node) -> None:
        self.rule, self.where, self.tree = rule, where, tree

    @cached_property
    def whole(self) -> Node:
        """The tree with the route's condition in it."""
        return all_of((condition(self.where), self.tree))


def condition(where: Where) -> Node:
    return all_of(
        any_of(Leaf(name, "eq", value) for value in values) for name, values in where.items()
    )
