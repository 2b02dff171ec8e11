"""What every format gives back: rows of equal shape as columns, and what could not be parsed.

A *shape* is a kind and the tuple of field names in the order in which they came; rows of one shape
are transposed once, by `zip` in C. A value is a text, a number, a truth value, None (absent), or a
list or an object where the format has such. Invariant: every line is in one group, in `failures`
or in `dropped`, never in two of them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Value = Any
"""A value of a parsed field: str, int, float, bool, None, list or dict."""


def another(name: str, taken: Container[str], counts: dict[str, int]) -> str:
    """``name#2``, ``name#3`` …: the first that is free. `counts` is the line's own and remembers where to go on: a
    hostile line repeats one key ten thousand times."""
    count = counts.get(name, 1) + 1
    while (unique := f"{name}#{count}") in taken:
        count += 1
    counts[name] = count
    return unique


@dataclass(slots=True)
class Group:
    """Lines `rows` (indices into the batch, ascending), one column of values a name: a tuple, or an Arrow
    array of text from a format that reads many lines at once (`values_of` gives Python's values of either)."""

    names: tuple[str, ...]
    rows: list[int]
    columns: list[Any]
    kind: str = ""


def values_of(column: Any) -> Sequence[Value]:
    """A column's values one by one."""
    found: Sequence[Value] = column if isinstance(column, tuple | list) else column.to_pylist()
    return found


@dataclass(slots=True)
class Parsed:
    """The whole batch. `notes` are remarks about single fields, by line."""

    groups: list[Group] = field(default_factory=list)
    failures: dict[int, str] = field(default_factory=dict)
    dropped: set[int] = field(default_factory=set)
    notes: dict[int, list[str]] = field(default_factory=dict)

    def note(self, row: int, text: str) -> None:
        self.notes.setdefault(row, []).append(text)


class Grouper:
    """Collects rows by shape; `add` is the hot path."""

    def __init__(self) -> None:
        self._shapes: dict[
            tuple[str, tuple[str, ...]], tuple[list[int], list[Sequence[Value]]]
        ] = {}

    def add(
        self, row: int, names: tuple[str, ...], values: Sequence[Value], kind: str = ""
    ) -> None:
        key = (kind, names)
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = ([], [])
        shape[0].append(row)
        shape[1].append(values)

    def groups(self) -> Iterable[Group]:
        for (kind, names), (rows, values) in self._shapes.items():
            yield Group(names, rows, list(zip(*values, strict=True)), kind)


Format = Callable[[Sequence[Any]], Parsed]
"""A compiled format: the lines of a batch (text or bytes; None for one to skip) to `Parsed`."""


def line_by_line(parts: Callable[[str], dict[str, str] | None], failure: str) -> Format:
    """A format whose lines are read one by one: `parts` gives a line's fields, or None for a `failure`."""

    def parse(lines: Sequence[str | None]) -> Parsed:
        parsed, grouper = Parsed(), Grouper()
        for row, line in enumerate(lines):
            if line is None:
                continue
            fields = parts(line)
            if fields is None:
                parsed.failures[row] = failure
                continue
            grouper.add(row, tuple(fields), tuple(fields.values()))
        parsed.groups.extend(grouper.groups())
        return parsed

    return parse
