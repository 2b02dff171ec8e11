"""A table for people, fitted to the width of the terminal (100 columns where there is none).

In: names of columns and rows of text, the wordiest last. Out: lines. Cells that do not fit are wrapped
at words in their column, so that nothing is cut but what takes more than eight lines; that ends with `…`.
Widths are those of a terminal: Vietnamese written as base and marks counts as one column a letter.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final

GAP: Final = "  "
INDENT: Final = "    "
WHOLE: Final = "id"  # the column that people copy from: never broken
KEPT: Final = 20  # a time, a number, an address: columns up to this width are not broken
LEAST_TEXT: Final = 40  # a last column of text that gets less goes below its row
TIME: Final = re.compile(r"\d\d/\d\d/\d{4} [\d:]{8}")  # is not broken either
NARROWEST: Final = 8
MOST_LINES: Final = 8


def terminal_width() -> int:
    """`COLUMNS`, else the terminal's, else 100."""
    return max(40, shutil.get_terminal_size((100, 24)).columns)


def lay_out(names: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """The lines of the table, a head first. Where the last column has no room beside the others, each
    row is followed by its last cell on a line of its own."""
    wide = [
        max([width_of(name), *(width_of(row[place]) for row in rows)])
        for place, name in enumerate(names)
    ]
    whole = [
        n == WHOLE or all(TIME.fullmatch(row[p]) for row in rows if row[p])
        for p, n in enumerate(names)
    ]
    least = [w if kept else min(w, KEPT) for w, kept in zip(wide, whole, strict=True)]
    beside = sum(least[:-1]) + len(GAP) * (len(names) - 1)
    below = len(names) > 1 and beside + min(wide[-1], LEAST_TEXT) > width
    count = len(names) - below
    wide = _fitted(wide[:count], width - len(GAP) * (count - 1), whole)
    for row in (names, *rows):
        cells = [wrap(cell, room) for cell, room in zip(row[:count], wide, strict=True)]
        for line in range(max(map(len, cells))):
            parts = [cell[line] if line < len(cell) else "" for cell in cells]
            yield GAP.join(_padded(p, w) for p, w in zip(parts, wide, strict=True)).rstrip()
        if below and row[-1]:
            for text in wrap(row[-1], width - len(INDENT)):
                yield INDENT + text


def wrap(text: str, room: int) -> list[str]:
    """The text in lines of at most `room` columns, broken at spaces where there are any."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and width_of(lines[-1]) + 1 + width_of(word) <= room:
            lines[-1] += " " + word
            continue
        while width_of(word) > room:
            head = _head(word, room)
            lines.append(head)
            word = word[len(head) :]  # noqa: PLW2901 - what is left of it
        lines.append(word)
    if len(lines) > MOST_LINES:
        last = _head(lines[MOST_LINES - 1], room - 1)
        fits = width_of(last) < room  # a wide letter does not fit beside the mark in two columns
        return [*lines[: MOST_LINES - 1], (last if fits else "") + "…"]
    return lines


def width_of(text: str) -> int:
    """Columns of a terminal."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(letter: str) -> int:
    if unicodedata.category(letter) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _head(text: str, room: int) -> str:
    """The longest beginning that fits, with the marks of its last letter."""
    used = 0
    for place, letter in enumerate(text):
        used += _columns(letter)
        if used > room:
            return text[:place] or text[0]
    return text


def _padded(text: str, room: int) -> str:
    return text + " " * (room - width_of(text))


def _fitted(wide: Sequence[int], room: int, whole: Sequence[bool]) -> list[int]:
    """The widest columns are made narrower until all fit: first those of much text, then any but the `whole`."""
    wide = list(wide)
    for floor in (KEPT, NARROWEST):
        while sum(wide) > room:
            loose = [p for p, w in enumerate(wide) if w > floor and not whole[p]]
            if not loose:
                break
            place = max(loose, key=lambda p: wide[p])
            second = max((wide[p] for p in loose if wide[p] < wide[place]), default=0)
            over = sum(wide) - room
            wide[place] = max(floor, min(wide[place] - 1, max(second, wide[place] - over)))
    return wide
