"""Lines of ``key=value``: FortiGate, SonicWall, WELF and whoever writes like them.

In: the message of a line, e.g. FortiOS 7.4 ::

    date=2026-11-24 time=09:00:00 devname="FG-100F" logid="0000000013" type="traffic" srcip=10.1.2.3 msg="a \\"b\\" c"

Out: one value a key, as text, quotes off and ``\\"`` undone. A key that comes twice keeps both
(the second as ``key#2``). Words without a ``=`` are kept under ``#rest``. A line with no pair fails.

The order of keys is fixed for a message kind: from the first line of a kind a template of the whole
line is built and used for all that follow; a line that it does not fit takes the slow way, whose
result the template's always equals (held by a test). `mark` finds the kind cheaply, e.g. the logid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from collectors.formats.parsed import Format, Grouper, Parsed

_PAIR: Final = re.compile(
    r"([^\s=\"]{1,128})=(?:\"((?:[^\"\\]|\\.)*)\"(?=\s|$)|([^\s]*))|([^\s]+)", re.ASCII | re.DOTALL
)
_ESCAPE: Final = re.compile(r"\\([\"\\])")
_MAX_TEMPLATES: Final = 512
REST: Final = "#rest"


def pairs(line: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The slow, right way: names and values of one line, in order."""
    fields: dict[str, str] = {}
    rest: list[str] = []
    for key, quoted, bare, word in _PAIR.findall(line):
        if word:
            rest.append(word)
            continue
        value = (_ESCAPE.sub(r"\1", quoted) if "\\" in quoted else quoted) or bare
        name, count = key, 1
        while name in fields:
            count += 1
            name = f"{key}#{count}"
        fields[name] = value
    if rest:
        fields[REST] = " ".join(rest)
    return tuple(fields), tuple(fields.values())


def _template(line: str) -> tuple[Callable[[str], re.Match[str] | None], tuple[str, ...]] | None:
    """A pattern of lines with these keys, in this order and each quoted or bare as here."""
    parts: list[str] = []
    names: list[str] = []
    position = 0
    for match in _PAIR.finditer(line):
        key, _, bare, word = match.groups()
        gap = line[position : match.start()]
        if word or key in names or gap.strip(" "):
            return None
        quoted = bare is None
        parts.append(
            re.escape(gap) + re.escape(key) + ('="([^"\\\\]*)"' if quoted else '=((?!")[^\\s]*)')
        )
        names.append(key)
        position = match.end()
    if not names or line[position:].strip(" "):
        return None
    pattern = re.compile("".join(parts) + " *", re.ASCII)
    return pattern.fullmatch, tuple(names)


def key_value(*, mark: str = "") -> Format:
    """A format of key=value lines; `mark` is a pattern whose first group tells the message kind."""
    find = re.compile(mark, re.ASCII).search if mark else None
    templates: dict[str, list[tuple[Callable[[str], re.Match[str] | None], tuple[str, ...]]]] = {}

    def learn(kind: str, line: str) -> None:
        made = _template(line)
        if made is None:
            return
        if len(templates) >= _MAX_TEMPLATES:
            templates.clear()
        known = templates.setdefault(kind, [])
        if len(known) >= 4:  # a kind with many orders: forget the oldest
            known.pop()
        known.insert(0, made)

    def parse(lines: Sequence[str | None]) -> Parsed:
        parsed, grouper = Parsed(), Grouper()
        add, get = grouper.add, templates.get
        for row, line in enumerate(lines):
            if line is None:
                continue
            kind = ""
            if find is not None:
                found = find(line[:512])
                kind = found[1] if found else ""
            for match, names in get(kind, ()):
                hit = match(line)
                if hit is not None:
                    add(row, names, hit.groups())
                    break
            else:
                names, values = pairs(line)
                if not names or names == (REST,):
                    parsed.failures[row] = "no key=value pair in the line"
                    continue
                add(row, names, values)
                learn(kind, line)
        parsed.groups.extend(grouper.groups())
        return parsed

    return parse
