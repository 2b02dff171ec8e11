"""Whether a tree holds for given rows, exactly: what the index let through is decided here.

In: a tree, written once as nested functions. Out: a test of a record (`columnar.Record`), and for many
rows at once a mask: parts of the tree that read one column are asked of its distinct values only.
The leaves' meaning is `question.question`'s; only the plainest ones have a shorter way here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Final

import numpy as np

from pipeline.detect.matching.columnar import (
    KEYWORDS,
    Batch,
    Column,
    Ints,
    Mask,
    Record,
    Texts,
    raw,
)
from pipeline.detect.matching.question import question
from pipeline.detect.matching.reference import refers
from pipeline.detect.matching.tree import (
    REF_OPS,
    And,
    Const,
    Leaf,
    Node,
    Not,
    Or,
    all_of,
    any_of,
    leaves,
)

Holds = Callable[[Record], bool]
FEW: Final = 24


class Verifier:
    """One node of a tree, ready to be asked."""

    def __init__(self, node: Node) -> None:
        self.node = node

    @cached_property
    def holds(self) -> Holds:
        return _written(self.node)

    @cached_property
    def column(self) -> str | None:
        """The one column that the node reads, if it is one."""
        names = {leaf.field for leaf in leaves(self.node)}
        if len(names) != 1 or any(leaf.op in REF_OPS for leaf in leaves(self.node)):
            return None
        return names.pop()

    @cached_property
    def children(self) -> Sequence[Verifier]:
        """Those that read one column together are one; it comes before what reads several."""
        if isinstance(self.node, Not):
            return (Verifier(self.node.child),)
        if not isinstance(self.node, And | Or):
            return ()
        several: list[Verifier] = []
        single: dict[str, list[Node]] = {}
        for child in self.node.children:
            made = Verifier(child)
            if made.column is None:
                several.append(made)
            else:
                single.setdefault(made.column, []).append(child)
        if len(single) == 1 and not several:  # a column of lists, asked row by row
            return tuple(map(Verifier, self.node.children))
        join = all_of if isinstance(self.node, And) else any_of
        ones = sorted(map(join, single.values()), key=lambda node: sum(map(_cost, leaves(node))))
        return (*map(Verifier, ones), *several)

    def of_rows(self, batch: Batch, rows: Ints) -> Mask:
        """For each of the rows, whether it holds."""
        if len(rows) <= FEW:
            holds = self.holds
            return np.fromiter(
                (holds(batch.record(row)) for row in rows.tolist()), np.bool_, len(rows)
            )
        if self.column is not None:
            column = batch.column(self.column)
            if column is None or not column.lists:
                return self._of_values(column, rows)
        node = self.node
        if isinstance(node, Leaf):
            holds = self.holds
            return np.fromiter(
                (holds(batch.record(row)) for row in rows.tolist()), np.bool_, len(rows)
            )
        if isinstance(node, Const):
            return np.full(len(rows), node.value, dtype=np.bool_)
        if isinstance(node, Not):
            return ~self.children[0].of_rows(batch, rows)
        every = isinstance(node, And)
        left = np.arange(len(rows))
        for child in self.children:
            found = child.of_rows(batch, rows[left])
            left = left[found if every else ~found]
            if not len(left):
                break
        mask = np.zeros(len(rows), dtype=np.bool_)
        mask[left] = True
        return mask if every else ~mask

    def _of_values(self, column: Column | None, rows: Ints) -> Mask:
        if column is None:
            return np.full(len(rows), self.holds(_NOTHING), dtype=np.bool_)
        codes = column.codes[rows]
        asked = np.unique(codes)
        holds, value = self.holds, column.value
        verdicts = np.fromiter(
            (holds(value(code) if code >= 0 else _NOTHING) for code in asked.tolist()), np.bool_, len(asked)
        )  # fmt: skip
        return verdicts[np.searchsorted(asked, codes)]


class _Nothing(Record):
    __slots__ = ()

    def __missing__(self, key: str) -> Texts:
        return ()


_NOTHING: Final = _Nothing(lambda _name: None)


def _written(node: Node) -> Holds:
    if isinstance(node, Leaf):
        return _leaf(node)
    if isinstance(node, Const):
        return lambda _record, value=node.value: value  # type: ignore[misc]
    if isinstance(node, Not):
        inner = _written(node.child)
        return lambda record: not inner(record)
    parts = _grouped(node.children, some=not isinstance(node, And))
    if len(parts) == 1:
        return parts[0]
    if isinstance(node, And):

        def every(record: Record) -> bool:
            for part in parts:  # noqa: SIM110 - half as dear as all()
                if not part(record):
                    return False
            return True

        return every

    def some(record: Record) -> bool:
        for part in parts:  # noqa: SIM110
            if part(record):
                return True
        return False

    return some


def _grouped(children: Sequence[Node], *, some: bool) -> list[Holds]:
    """The children as functions, cheap ones first; in an OR, leaves of one field and operator are one."""
    groups: dict[tuple[str | None, str], list[str]] = {}
    others: list[Node] = []
    for child in children:
        if (
            some
            and isinstance(child, Leaf)
            and child.op in _MANY
            and not child.cased
            and child.field
        ):
            groups.setdefault((child.field, child.op), []).append(child.arg)
        else:
            others.append(child)
    made = [_any_of(field or KEYWORDS, op, args) for (field, op), args in groups.items()]
    others.sort(key=lambda child: sum(_cost(leaf) for leaf in leaves(child)))
    return made + [_written(child) for child in others]


def _cost(leaf: Leaf) -> int:
    return 1_000 if leaf.field is None else 10 if leaf.op == "re" else 1


def _any_of(key: str, op: str, args: Sequence[str]) -> Holds:
    return _on_texts(key, _MANY[op](tuple(args)))


def _equals(args: tuple[str, ...]) -> Callable[[str], bool]:
    if len(args) == 1:
        return args[0].__eq__
    return frozenset(args).__contains__


def _contains(args: tuple[str, ...]) -> Callable[[str], bool]:
    if len(args) == 1:
        arg = args[0]
        return lambda text: arg in text

    def some(text: str) -> bool:
        for one in args:  # noqa: SIM110
            if one in text:
                return True
        return False

    return some


_MANY: Final[dict[str, Callable[[tuple[str, ...]], Callable[[str], bool]]]] = {
    "eq": _equals,
    "contains": _contains,
    "startswith": lambda args: lambda text: text.startswith(args),
    "endswith": lambda args: lambda text: text.endswith(args),
}


def _on_texts(key: str, test: Callable[[str], bool]) -> Holds:
    def holds(record: Record) -> bool:
        found = record[key]
        return test(found) if found.__class__ is str else any(map(test, found))

    return holds


def _leaf(leaf: Leaf) -> Holds:
    name = leaf.field if leaf.field is not None else KEYWORDS
    if leaf.op in _MANY and not leaf.cased:
        return _any_of(name, leaf.op, (leaf.arg,))
    if leaf.op == "null":
        return lambda record: record[name] == ()
    if leaf.op == "exists":
        return lambda record: record[name] != ()
    if leaf.op in REF_OPS:
        op, other = leaf.op, leaf.arg
        return lambda record: any(
            refers(op, one, two) for one in _all(record[name]) for two in _all(record[other])
        )
    if leaf.op == "unfilled":
        return lambda _record: False
    return _on_texts(raw(name), question(leaf))


def _all(found: Texts) -> tuple[str, ...]:
    return (found,) if isinstance(found, str) else found
