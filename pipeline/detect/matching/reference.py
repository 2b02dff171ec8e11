"""The reference evaluator: one event, one rule, no cleverness. The matcher's oracle.

In: a row as a mapping of column names to values (what `pa.Table.to_pylist()` gives). Out: the rules
that match. Two-valued logic: a leaf over a missing field is false, so `not` over it is true; `null`
holds for a missing or null field, `exists` for one that is there, even empty; a list is several
values of which one must do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.detect.matching.question import question
from pipeline.detect.matching.record import record_values
from pipeline.detect.matching.text import as_text, fold, texts
from pipeline.detect.matching.tree import REF_OPS, And, Const, Leaf, Node, Not
from pipeline.model import events

Row = Mapping[str, Any]


def value_of(row: Row, column: str) -> Any:
    """A column's value; one without a column is looked for among the rest."""
    if column in row:
        return row[column]
    rest = row.get(events.EXTRA)
    return dict(rest).get(column) if rest else None


def holds(node: Node, row: Row) -> bool:
    """Whether the event is what the tree says."""
    if isinstance(node, Leaf):
        return _leaf(node, row)
    if isinstance(node, Const):
        return node.value
    if isinstance(node, Not):
        return not holds(node.child, row)
    if isinstance(node, And):
        return all(holds(child, row) for child in node.children)
    return any(holds(child, row) for child in node.children)


def _leaf(leaf: Leaf, row: Row) -> bool:
    if leaf.field is None:
        test = question(leaf)
        return any(test(text) for text in record_values(as_text(row.get(events.ORIGINAL))))
    value = value_of(row, leaf.field)
    found = texts(value)
    if leaf.op == "null":
        return not found
    if leaf.op == "exists":
        return bool(found)
    if leaf.op in REF_OPS:
        others = texts(value_of(row, leaf.arg))
        return any(refers(leaf.op, fold(text), fold(other)) for text in found for other in others)
    if leaf.op == "unfilled":
        return False
    test = question(leaf)
    return any(test(text) for text in found)


def refers(op: str, text: str, other: str) -> bool:
    """How a folded text compares with another field's."""
    if op == "ref_contains":
        return other in text
    if op == "ref_startswith":
        return text.startswith(other)
    return text.endswith(other) if op == "ref_endswith" else text == other
