"""Many lines of ``key=value`` by one template at once: no text is made of any value, only columns.

In: lines and a template, e.g. of ``date=2026-11-24 time=09:00:00 devname="FG" type="traffic"`` the parts
``date=`` bare, ``time=`` bare, ``devname="`` quoted, ``type="`` quoted. Out: which lines it fits, and for these an
Arrow column a key. A line is cut at its spaces that stand outside quotes; it fits if every piece begins as its part
does, and no quote stands where the template has none. Lines that hold a backslash, a white-space control character
or two spaces together are left to the slower ways. Invariant: what fits gives the very values that the template's
regular expression gives (`key_value`), held by a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

LEAST: Final = 256
"""Fewer lines are not worth it."""
_MOST: Final = 1 << 30  # bytes of one call; offsets have 32 bits
_WORD: Final = 8
_BLOCK: Final = 2_000
_QUOTE, _SPACE, _BACKSLASH, _TAB, _RETURN = 34, 32, 92, 9, 13


class Part(NamedTuple):
    """What stands before a value (key, ``=`` and an opening quote), and whether the value is quoted."""

    before: bytes
    quoted: bool


def match(lines: Sequence[str], parts: Sequence[Part]) -> tuple[Any, list[Any]]:
    """Places of the lines that fit, ascending, and one column a part with the values of these."""
    import pyarrow as pa

    whole = pa.array(lines, pa.string())
    _, offsets, data = whole.buffers()
    ends_at = np.frombuffer(offsets, np.int32, len(lines) + 1).astype(np.int64)
    if not 0 < ends_at[-1] <= _MOST:
        return np.zeros(0, np.int64), []
    text = np.frombuffer(data, np.uint8)[: ends_at[-1]]
    found = list(_blocks(text, ends_at, parts))
    fits = np.concatenate([fits for fits, _, _ in found])
    first = np.concatenate([first for _, first, _ in found], axis=1)
    last = np.concatenate([last for _, _, last in found], axis=1)
    if not len(fits):
        return fits, []
    return fits, [_slices(data, *span) for span in zip(first, last, strict=True)]


def _blocks(text: Any, ends_at: Any, parts: Sequence[Part]) -> Iterator[tuple[Any, Any, Any]]:
    """As `_cut`, over so few lines at a time that they stay in the processor's cache."""
    count = len(ends_at) - 1
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        base, end = ends_at[start], ends_at[stop]
        if base == end:
            continue
        here = ends_at[start : stop + 1] - base
        fits, first, last = _cut(text[base:end], here[:-1], here[1:], parts)
        yield fits + start, first + base, last + base


def _cut(text: Any, starts: Any, ends: Any, parts: Sequence[Part]) -> tuple[Any, Any, Any]:
    """The lines that the parts fit; from where (a row a part) to where the value stands in each of these."""
    fits = _plain(text, ends)
    ends = ends - ((ends > starts) & (text[ends - 1] == _SPACE))  # one space may stand at the end
    marks = np.flatnonzero((text == _QUOTE) | (text == _SPACE))
    is_quote = text[marks] == _QUOTE
    quotes = np.append(0, np.cumsum(is_quote))  # so many up to each mark
    begins = np.searchsorted(marks, starts)
    in_line = quotes[np.searchsorted(marks, ends)] - quotes[begins]
    fits &= in_line == 2 * sum(part.quoted for part in parts)
    before = np.repeat(quotes[begins], np.diff(np.append(begins, len(marks))))
    gaps = marks[~is_quote & ((quotes[1:] - before) & 1 == 0)]
    gap = np.searchsorted(gaps, starts)
    fits &= np.searchsorted(gaps, ends) - gap == len(parts) - 1
    chosen = np.flatnonzero(fits)
    between = gaps[gap[chosen] + np.arange(len(parts) - 1)[:, None]]
    first = np.concatenate([starts[None, chosen], between + 1])
    last = np.concatenate([between, ends[None, chosen]])
    every = _begin_so(text, first, last, parts)
    return (
        (chosen, first, last) if every.all() else (chosen[every], first[:, every], last[:, every])
    )


def _begin_so(text: Any, first: Any, last: Any, parts: Sequence[Part]) -> Any:
    """Which lines' pieces are `parts`; `first` and `last` are moved to where the values begin and end."""
    longest = max(len(part.before) for part in parts)
    padded = np.append(text, np.zeros(longest + _WORD, np.uint8))
    # the eight bytes at each place
    words = np.ndarray((len(padded) - _WORD + 1,), "<u8", padded, strides=(1,))
    fits = np.ones(first.shape[1], bool)
    for row, (before, quoted) in enumerate(parts):
        for at, mask, wanted in _words_of(before):
            found = words[first[row] + at]
            fits &= (found if mask is None else found & mask) == wanted
        first[row] += len(before)
        if quoted:
            last[row] -= 1
            fits &= text[last[row]] == _QUOTE
        fits &= first[row] <= last[row]
    return fits


def _words_of(before: bytes) -> Iterator[tuple[int, Any, Any]]:
    """A text as words to compare: where, under which mask, with what. The last overlaps the one before it."""
    if len(before) < _WORD:
        mask = np.uint64((1 << 8 * len(before)) - 1)
        yield 0, mask, np.uint64(int.from_bytes(before, "little"))
        return
    for at in sorted({*range(0, len(before) - _WORD + 1, _WORD), len(before) - _WORD}):
        yield at, None, np.uint64(int.from_bytes(before[at : at + _WORD], "little"))


def _plain(text: Any, ends: Any) -> Any:
    """Lines without a character that would make their reading harder."""
    odd = (text == _BACKSLASH) | (
        text - np.uint8(_TAB) <= _RETURN - _TAB
    )  # below a tab it wraps around
    plain = np.ones(len(ends), bool)
    if odd.any():
        plain[np.searchsorted(ends, np.flatnonzero(odd), side="right")] = False
    return plain


def _slices(data: Any, first: Any, last: Any) -> Any:
    """A column of slices of a text: of an array of slices and gaps by turns, every other one."""
    import pyarrow as pa

    count = len(first)
    offsets = np.empty(2 * count, np.int32)
    offsets[0::2], offsets[1::2] = first, last
    both = pa.Array.from_buffers(pa.string(), 2 * count - 1, [None, pa.py_buffer(offsets), data])
    return both.take(pa.array(np.arange(0, 2 * count - 1, 2, dtype=np.int32)))
