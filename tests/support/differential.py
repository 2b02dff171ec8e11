"""The matcher against the reference: where they differ, the smallest rule and event that still show it.

found = disagreements(compiled, "windows.sysmon", table)
found[0].text()     # the rule's title, who found it, the smallest tree and row
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.detect.matching.compile import Compiled
from pipeline.detect.matching.matcher import Matcher
from pipeline.detect.matching.plan import Plan
from pipeline.detect.matching.reference import holds
from pipeline.detect.matching.routed import Routed
from pipeline.detect.matching.tree import And, Leaf, Node, Not, Or, all_of, any_of

Says = Callable[[Node, pa.Table], bool]


@dataclass(frozen=True)
class Disagreement:
    """One pair that only one of the two found, as it came and as small as it gets."""

    title: str
    found_by: str
    tree: Node
    row: Mapping[str, Any]

    def text(self) -> str:
        return f"{self.title}: only the {self.found_by} finds it\n  tree {self.tree}\n  row  {dict(self.row)}"


def disagreements(
    compiled: Compiled, dataset: str, table: pa.Table, times: int = 1
) -> list[Disagreement]:
    """All of one table, made small; at most three, for the first says enough. With `times` the matcher
    gets the table so often over, so that it takes its ways for many rows."""
    rows, rules = compiled.match(dataset, pa.concat_tables([table] * times))
    count: dict[tuple[int, int], int] = {}
    for row, rule in zip(rows.tolist(), rules.tolist(), strict=True):
        pair = (row % table.num_rows, rule)
        count[pair] = count.get(pair, 0) + 1
    slow = {
        (place, rule)
        for place, row in enumerate(table.to_pylist())
        for rule in compiled.reference(dataset, row)
    }
    odd = sorted(
        {pair for pair, n in count.items() if n != times or pair not in slow} | (slow - set(count))
    )
    return [
        _made_small(compiled, dataset, table.slice(place, 1), rule, (place, rule) in count)
        for place, rule in odd[:3]
    ]


def _made_small(
    compiled: Compiled, dataset: str, one: pa.Table, rule: int, fast: bool
) -> Disagreement:
    routed = [each for each in compiled.routed[dataset] if each.rule == rule]
    tree = any_of(each.whole for each in routed)
    tree, one = smallest(tree, one, alone)
    return Disagreement(
        compiled.rules[rule].title, "matcher" if fast else "reference", tree, one.to_pylist()[0]
    )


def alone(tree: Node, one: pa.Table) -> bool:
    """What the matcher says of one tree and one row, either way it has."""
    few, _ = Matcher(Plan([Routed(0, {}, tree)])).match(one)
    many, _ = Matcher(Plan([Routed(0, {}, tree)])).match(pa.concat_tables([one] * 50))
    if len(many) not in {0, 50} or bool(len(few)) != bool(len(many)):
        return not holds(tree, one.to_pylist()[0])  # the two ways differ: one of them is wrong
    return bool(len(few))


def smallest(tree: Node, one: pa.Table, says: Says) -> tuple[Node, pa.Table]:
    """The least tree and row on which `says` and the reference differ (as given, if they do not)."""

    def differ(tree: Node, one: pa.Table) -> bool:
        return says(tree, one) != holds(tree, one.to_pylist()[0])

    if not differ(tree, one):
        return tree, one
    going = True
    while going:
        going = False
        for simpler in _simpler(tree):
            if differ(simpler, one):
                tree, going = simpler, True
                break
        for name in one.column_names:
            less = one.drop_columns([name])
            if less.num_columns and differ(tree, less):
                one, going = less, True
    return tree, one


def _simpler(node: Node) -> Iterator[Node]:
    """Each child in the node's place, then the node with one part less or simpler."""
    if isinstance(node, Not):
        yield node.child
        for child in _simpler(node.child):
            yield Not(child)
    elif isinstance(node, And | Or):
        yield from node.children
        join = all_of if isinstance(node, And) else any_of
        for place, child in enumerate(node.children):
            rest = node.children[:place] + node.children[place + 1 :]
            yield join(rest)
            for simpler in _simpler(child):
                yield join((*node.children[:place], simpler, *node.children[place + 1 :]))
    elif (
        isinstance(node, Leaf)
        and len(node.arg) > 1
        and node.op in {"eq", "contains", "startswith", "endswith"}
    ):
        yield Leaf(node.field, node.op, node.arg[: len(node.arg) // 2], node.cased)
        yield Leaf(node.field, node.op, node.arg[len(node.arg) // 2 :], node.cased)
