"""Lines of ``key=value``: FortiGate, SonicWall, WELF and whoever writes like them.

In: the message of a line, e.g. FortiOS 7.4 ::

    date=2026-11-24 time=09:00:00 devname="FG-100F" logid="0000000013" type="traffic" srcip=10.1.2.3 msg="a \\"b\\" c"

Out: one value a key, as text, quotes off and ``\\"`` undone. A key that comes twice keeps both
(the second as ``key#2``). Words without a ``=`` are kept under ``#rest``. A line with no pair fails.

The order of keys is fixed for a message kind: from the first line of a kind a template of the whole
line is built and used for all that follow; a line that it does not fit takes the slow way, whose
result the template's always equals (held by a test); many lines of a kind are read at once, as columns.
`mark` finds the kind cheaply, e.g. the logid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from collectors.formats.key_value_columns import LEAST, Part
from collectors.formats.key_value_columns import match as columns_of
from collectors.formats.parsed import Format, Group, Grouper, Parsed, another

_PAIR: Final = re.compile(
    r"([^\s=\"]{1,128})=(?:\"((?:[^\"\\]|\\.)*)\"(?=\s|$)|([^\s]*))|([^\s]+)", re.ASCII | re.DOTALL
)
_ESCAPE: Final = re.compile(r"\\([\"\\])")
_MAX_TEMPLATES: Final = 512
_MAX_KEYS: Final = 256  # of a template: what has more is no device's usual line
_MARKED: Final = 512  # characters at the beginning of a line that tell its kind
REST: Final = "#rest"


def pairs(line: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The slow, right way: names and values of one line, in order."""
    fields: dict[str, str] = {}
    counts: dict[str, int] = {}
    rest: list[str] = []
    for key, quoted, bare, word in _PAIR.findall(line):
        if word:
            rest.append(word)
            continue
        value = (_ESCAPE.sub(r"\1", quoted) if "\\" in quoted else quoted) or bare
        fields[another(key, fields, counts) if key in fields else key] = value
    if rest:
        fields[REST] = " ".join(rest)
    return tuple(fields), tuple(fields.values())


@dataclass(frozen=True, slots=True)
class _Template:
    """Lines of the same keys in the same order: as a pattern for one, as parts for many (none where more than one
    space stands between them)."""

    match: Callable[[str], re.Match[str] | None]
    names: tuple[str, ...]
    parts: tuple[Part, ...]


def _template(line: str) -> _Template | None:
    """A template of lines with these keys, in this order and each quoted or bare as here."""
    parts: list[str] = []
    pieces: list[Part] = []
    names: list[str] = []
    position, even = 0, True
    for match in _PAIR.finditer(line):
        key, _, bare, word = match.groups()
        gap = line[position : match.start()]
        if word or key in names or gap.strip(" ") or len(names) >= _MAX_KEYS:
            return None
        quoted = bare is None
        parts.append(
            re.escape(gap) + re.escape(key) + ('="([^"\\\\]*)"' if quoted else '=((?!")[^\\s]*)')
        )
        even = even and gap == " " * bool(names)
        pieces.append(Part(f"{key}={chr(34) * quoted}".encode(), quoted))
        names.append(key)
        position = match.end()
    if not names or line[position:].strip(" "):
        return None
    pattern = re.compile("".join(parts) + " *", re.ASCII)
    return _Template(pattern.fullmatch, tuple(names), tuple(pieces) if even else ())


class _Reader:
    """A compiled format and the templates it has learned, which never change a result."""

    def __init__(self, mark: str) -> None:
        self._find = re.compile(mark, re.ASCII).search if mark else None
        self._templates: dict[str, list[_Template]] = {}

    def parse(self, lines: Sequence[str | None]) -> Parsed:
        parsed, grouper = Parsed(), Grouper()
        kinds = self._kinds(lines)
        left = self._at_once(lines, kinds, parsed) if len(lines) >= LEAST else range(len(lines))
        for row in left:
            line = lines[row]
            if line is not None and not self._one(row, line, kinds[row], grouper):
                parsed.failures[row] = "no key=value pair in the line"
        parsed.groups.extend(grouper.groups())
        return parsed

    def _kinds(self, lines: Sequence[str | None]) -> list[str]:
        find = self._find
        if find is None:
            return [""] * len(lines)
        found = [None if line is None else find(line, 0, _MARKED) for line in lines]
        return ["" if match is None else match[1] for match in found]

    def _one(self, row: int, line: str, kind: str, grouper: Grouper) -> bool:
        for one in self._templates.get(kind, ()):
            hit = one.match(line)
            if hit is not None:
                grouper.add(row, one.names, hit.groups())
                return True
        names, values = pairs(line)
        if not names or names == (REST,):
            return False
        grouper.add(row, names, values)
        self._learn(kind, line)
        return True

    def _learn(self, kind: str, line: str) -> None:
        made = _template(line)
        if made is None:
            return
        if len(self._templates) >= _MAX_TEMPLATES:
            self._templates.clear()
        known = self._templates.setdefault(kind, [])
        if len(known) >= 4:  # a kind with many orders: forget the oldest
            known.pop()
        known.insert(0, made)

    def _at_once(
        self, lines: Sequence[str | None], kinds: Sequence[str], parsed: Parsed
    ) -> list[int]:
        """Many lines of a kind by its templates, as columns; gives the rows that are left."""
        rows_of: dict[str, list[int]] = {}
        for row, kind in enumerate(kinds):
            rows_of.setdefault(kind, []).append(row)
        left: list[int] = []
        for kind, rows in rows_of.items():
            left += self._of_kind(lines, kind, rows, parsed) if len(rows) >= LEAST else rows
        left.sort()
        return left

    def _of_kind(
        self, lines: Sequence[str | None], kind: str, rows: list[int], parsed: Parsed
    ) -> list[int]:
        if kind not in self._templates:
            self._learn(kind, lines[rows[0]] or "")
        for one in self._templates.get(kind, ()):
            if not one.parts:
                continue
            places, columns = columns_of([lines[row] or "" for row in rows], one.parts)
            every = len(places) == len(rows)
            chosen = rows if every else [rows[place] for place in places.tolist()]
            if chosen:
                parsed.groups.append(Group(one.names, chosen, columns))
                read = set() if every else set(chosen)
                rows = [] if every else [row for row in rows if row not in read]
            if len(rows) < LEAST:
                break
        return rows


def key_value(*, mark: str = "") -> Format:
    """A format of key=value lines; `mark` is a pattern whose first group tells the message kind."""
    return _Reader(mark).parse
