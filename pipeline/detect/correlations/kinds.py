"""Which rows of one group lie in a window in which a correlation's condition holds. Pure.

In: the group's matches in order of time, and the latest start of a window that may be judged (None:
all). Out: the places of the rows that take part. One function a kind of correlation; each is a sweep
with two ends that only grow. Sums and averages are exact: numbers are whole or fractions, never floats.
"""

from __future__ import annotations

import operator
import re
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import groupby
from typing import Any, Final

from pipeline.detect.correlations.correlation import MEASURES, NEW_VALUE, Correlation, Stored, Term

Number = int | Fraction
_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})", re.ASCII)
_TESTS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "eq": operator.eq,
    "neq": operator.ne,
}
OPERATORS: Final = tuple(_TESTS)


def places(c: Correlation, rows: Sequence[Stored], limit: int | None) -> list[int]:
    """The places in `rows` (one group's, by time) that take part, in order."""
    return _KINDS[c.kind](c, rows, limit)


def _windows(
    rows: Sequence[Stored], span: int, limit: int | None, holds: Callable[[int, int], bool]
) -> list[int]:
    """The places of rows in windows that start at a row and hold. `holds(start, stop)` is asked with
    both ends only ever growing."""
    chosen: list[int] = []
    stop = covered = 0
    for start, row in enumerate(rows):
        if limit is not None and row.time > limit:
            break
        while stop < len(rows) and rows[stop].time - row.time <= span:
            stop += 1
        if start and rows[start - 1].time == row.time:
            continue  # the same window, asked already with all of its rows
        if holds(start, stop):
            chosen += range(max(start, covered), stop)
            covered = stop
    return chosen


class _Counts:
    """How often each key lies in a window whose ends only grow."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys, self._start, self._stop = keys, 0, 0
        self._counts: Counter[str] = Counter()

    def __call__(self, start: int, stop: int) -> Mapping[str, int]:
        while self._stop < stop:
            self._counts[self._keys[self._stop]] += 1
            self._stop += 1
        while self._start < start:
            key = self._keys[self._start]
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]
            self._start += 1
        return self._counts


def _distinct(
    c: Correlation, rows: Sequence[Stored], keys: Sequence[str], limit: int | None
) -> list[int]:
    counts, test, than = _Counts(keys), _TESTS[c.condition.op], c.condition.than
    return _windows(rows, c.span, limit, lambda a, b: test(len(counts(a, b)), than))


def _event_count(c: Correlation, rows: Sequence[Stored], limit: int | None) -> list[int]:
    # an event that two of the rules match is one, and so is an episode of an inner correlation
    return _distinct(c, rows, [row.unit or row.event for row in rows], limit)


def _counted(c: Correlation, row: Stored) -> str:
    """The value that is counted; empty where a part of it is missing."""
    values = [row.values.get(c.fields[row.rule][name], "") for name in c.counted]
    return "\0".join(values) if all(values) else ""


def _value_count(c: Correlation, rows: Sequence[Stored], limit: int | None) -> list[int]:
    values = [_counted(c, row) for row in rows]
    having = [n for n, value in enumerate(values) if value]
    chosen = _distinct(c, [rows[n] for n in having], [values[n] for n in having], limit)
    return [having[n] for n in chosen]


def _new_value(c: Correlation, rows: Sequence[Stored], _limit: int | None) -> list[int]:
    """Rows whose value the group has not had within the span before, while it had another."""
    chosen: list[int] = []
    last: dict[str, int] = {}
    latest: int | None = None
    having = ((n, value) for n, row in enumerate(rows) if (value := _counted(c, row)))
    for time, tied in groupby(having, key=lambda pair: rows[pair[0]].time):
        now = list(tied)
        if latest is not None and latest >= time - c.span:
            chosen += [n for n, value in now if last.get(value, time - c.span - 1) < time - c.span]
        last |= {value: time for _, value in now}
        latest = time
    return chosen


def _measure(c: Correlation, rows: Sequence[Stored], limit: int | None) -> list[int]:
    order = {rule: n for n, rule in enumerate(c.rules)}
    of_event: dict[
        str, int
    ] = {}  # an event that two rules match is measured once, by the first of them
    numbers = [number_of(_counted(c, row)) for row in rows]
    for n, row in enumerate(rows):
        if numbers[n] is not None:
            held = of_event.setdefault(row.event, n)
            if order[row.rule] < order[rows[held].rule]:
                of_event[row.event] = n
    having = sorted(of_event.values())
    window = _Numbers([number for n in having if (number := numbers[n]) is not None])
    test, than, kind = _TESTS[c.condition.op], c.condition.than, c.kind

    def holds(start: int, stop: int) -> bool:
        return test(window(start, stop, kind, c.condition.percentile), than)

    return [having[n] for n in _windows([rows[n] for n in having], c.span, limit, holds)]


def number_of(text: str) -> Number | None:
    """The number that a text says exactly; None where it says none."""
    if not _NUMBER.fullmatch(text):
        return None
    return Fraction(text) if "." in text else int(text)


class _Numbers:
    """The numbers of a window whose ends only grow, as a sum and in order."""

    def __init__(self, numbers: Sequence[Number]) -> None:
        self._numbers, self._start, self._stop = numbers, 0, 0
        self._sum: Number = 0
        self._sorted: list[Number] = []

    def __call__(self, start: int, stop: int, kind: str, percentile: int) -> Number:
        for number in self._numbers[self._stop : stop]:
            self._sum += number
            insort(self._sorted, number)
        for number in self._numbers[self._start : start]:
            self._sum -= number
            del self._sorted[bisect_left(self._sorted, number)]
        self._start, self._stop = start, stop
        count = len(self._sorted)
        if kind == "value_sum":
            return self._sum
        if kind == "value_avg":
            return Fraction(self._sum, count)
        if kind == "value_median":
            return Fraction(self._sorted[(count - 1) // 2] + self._sorted[count // 2], 2)
        rank = -(
            -percentile * count // 100
        )  # nearest rank: the least that so many per cent are at most
        return self._sorted[max(rank, 1) - 1]


def _temporal(c: Correlation, rows: Sequence[Stored], limit: int | None) -> list[int]:
    if not c.terms:
        return _distinct(c, rows, [row.rule for row in rows], limit)
    chosen: set[int] = set()
    for term in c.terms:
        mine = _of_term(term, rows)
        counts = _Counts([rows[n].rule for n in mine])

        def holds(start: int, stop: int, term: Term = term, counts: _Counts = counts) -> bool:
            found = counts(start, stop).keys()
            return found >= set(term.needs) and not found & term.without

        chosen.update(mine[n] for n in _windows([rows[n] for n in mine], c.span, limit, holds))
    return sorted(chosen)


def _temporal_ordered(c: Correlation, rows: Sequence[Stored], limit: int | None) -> list[int]:
    """Rows of some chain r1 ≤ r2 ≤ … ≤ rn in time that lies within some window."""
    chosen: set[int] = set()
    for term in c.terms:
        mine = _of_term(term, rows)
        chosen.update(mine[n] for n in _chained(term, [rows[n] for n in mine], c.span, limit))
    return sorted(chosen)


def _of_term(term: Term, rows: Sequence[Stored]) -> list[int]:
    named = {*term.needs, *term.without}
    return [n for n, row in enumerate(rows) if row.rule in named]


def _chained(term: Term, rows: Sequence[Stored], span: int, limit: int | None) -> list[int]:
    """Per row the latest start of a chain that ends in it, and the earliest end of one that starts in
    it: it takes part where some window that may hold lies around both."""
    step = {rule: n for n, rule in enumerate(term.needs)}
    needed = [n for n, row in enumerate(rows) if row.rule in step]
    starts = _reached(rows, needed, step, max)
    backwards = {rule: len(step) - 1 - n for rule, n in step.items()}
    ends = _reached(rows, needed[::-1], backwards, min)
    barred = [row.time for row in rows if row.rule in term.without]
    anchors = [
        time
        for time in (row.time for row in rows)
        if (limit is None or time <= limit)
        and bisect_left(barred, time) == bisect_right(barred, time + span)
    ]
    return [
        n
        for n in needed
        if n in starts
        and n in ends
        and bisect_left(anchors, ends[n] - span) < bisect_right(anchors, starts[n])
    ]


def _reached(
    rows: Sequence[Stored],
    order: Iterable[int],
    step: Mapping[str, int],
    best: Callable[[int, int], int],
) -> dict[int, int]:
    """By place, the best time at which a chain of all steps up to the row's begins; ties are in order."""
    reached: dict[int, int] = {}
    begun: dict[int, int] = {}  # by step, the best so far
    for time, tied in groupby(order, key=lambda n: rows[n].time):
        for n in sorted(tied, key=lambda n: step[rows[n].rule]):
            here = step[rows[n].rule]
            since = begun.get(here - 1) if here else time
            if since is not None:
                reached[n] = since
                begun[here] = best(begun.get(here, since), since)
    return reached


_KINDS: Final[Mapping[str, Callable[[Correlation, Sequence[Stored], int | None], list[int]]]] = {
    "event_count": _event_count,
    "value_count": _value_count,
    "temporal": _temporal,
    "temporal_ordered": _temporal_ordered,
    NEW_VALUE: _new_value,
    **dict.fromkeys(MEASURES, _measure),
}
TYPES: Final = frozenset(_KINDS)
