"""Many lines of ``key=value`` by one template at once: no text is made of any value, only columns.

In: lines and a template, e.g. of ``date=2026-11-24 time=09:00:00 devname="FG" type="traffic"`` the parts
``date=`` bare, `` time=`` bare, `` devname="`` quoted, `` type="`` quoted. Out: which lines it fits, and for these an
Arrow column a key. A line fits if every part stands where the one before ends: a bare value ends at the next space or
the end of the line, a quoted one at the next quote. Lines that hold a backslash or a white-space control character are
left to the slower ways. Invariant: what fits gives the very values that the template's regular expression gives
(`key_value`), held by a test.
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
    """What stands before a value (gap, key, ``=`` and an opening quote), and whether the value is quoted."""

    before: bytes
    quoted: bool


def match(lines: Sequence[str], parts: Sequence[Part]) -> tuple[Any, list[Any]]:
    """Places of the lines that fit, ascending, and one column a part with the values of these."""
    import pyarrow as pa

    whole = pa.array(lines, pa.string())
    _, offsets, data = whole.buffers()
    if data is None or data.size > _MOST:
        return np.zeros(0, np.int64), []
    ends_at = np.frombuffer(offsets, np.int32, len(lines) + 1).astype(np.int64)
    text = np.frombuffer(data, np.uint8)[: ends_at[-1]]
    fits, spans = _blocks(text, ends_at, parts)
    every = bool(fits.all())
    chosen = np.arange(len(lines)) if every else np.flatnonzero(fits)
    columns = []
    for first, last in spans if len(chosen) else ():
        columns.append(
            _slices(data, first, last) if every else _slices(data, first[chosen], last[chosen])
        )
    return chosen, columns


def _blocks(text: Any, ends_at: Any, parts: Sequence[Part]) -> tuple[Any, list[tuple[Any, Any]]]:
    """As `_follow`, over so few lines at a time that they stay in the processor's cache."""
    count = len(ends_at) - 1
    fits = np.empty(count, bool)
    spans = [(np.empty(count, np.int64), np.empty(count, np.int64)) for _ in parts]
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        base, end = ends_at[start], ends_at[stop]
        here = ends_at[start : stop + 1] - base
        fits[start:stop], found = _follow(text[base:end], here[:-1], here[1:], parts)
        for (first, last), (a, b) in zip(spans, found, strict=True):
            np.add(a, base, out=first[start:stop])
            np.add(b, base, out=last[start:stop])
    return fits, spans


def _follow(
    text: Any, starts: Any, ends: Any, parts: Sequence[Part]
) -> tuple[Any, list[tuple[Any, Any]]]:
    """Which lines the parts lead through, and from where to where each value stands."""
    size = len(text)
    padded = np.concatenate(
        [text, np.zeros(max(len(part.before) for part in parts) + _WORD, np.uint8)]
    )
    words = np.ndarray(
        (len(padded) - _WORD + 1,), "<u8", padded, strides=(1,)
    )  # the eight bytes at each place
    fits = _plain(text, ends)
    quotes = np.append(np.flatnonzero(text == _QUOTE), [size, size, size])
    spaces = np.append(np.flatnonzero(text == _SPACE), [size, size])
    quote, space = np.searchsorted(quotes, starts), np.searchsorted(spaces, starts)
    place = starts.copy()
    spans: list[tuple[Any, Any]] = []
    for before, quoted in parts:
        here = np.minimum(place, size)
        for at, mask, wanted in _words_of(before):
            found = words[here + at] if at else words[here]
            fits &= (found if mask is None else found & mask) == wanted
        first = here + len(before)
        space = np.minimum(space + before.count(b" "), len(spaces) - 1)
        if quoted:
            quote = np.minimum(quote, len(quotes) - 3)
            fits &= quotes[quote] == first - 1
            last = quotes[quote + 1]
            place, quote = last + 1, quote + 2
        else:
            if (spaces[space] < first).any():  # a quoted value before it held spaces
                space = np.minimum(np.searchsorted(spaces, first), len(spaces) - 1)
            last = np.minimum(spaces[space], ends)
            fits &= padded[np.minimum(first, size)] != _QUOTE
            place = last
            inside = quotes[np.minimum(quote, len(quotes) - 1)] < last  # a quote in a bare value
            if inside.any():
                quote = np.where(inside, np.searchsorted(quotes, last), quote)
        fits &= (first <= last) & (last <= ends)
        spans.append((first, last))
    left = ends - place
    blank = np.searchsorted(spaces, ends) - np.searchsorted(spaces, np.minimum(place, size))
    return fits & (left == blank), spans  # what is left are spaces


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
