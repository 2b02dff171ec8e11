"""How sample lines are written: JSON, CEF, LEEF, key=value, delimited, or text; behind a syslog header or not. Pure.

In: lines. Out: a `Shape`: what `format` of a product's file says, and each line's fields as that format gives them.
The first format that nearly all lines keep wins, the strictest first; text always fits.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from collectors.formats import syslog
from collectors.formats.csv_fields import fields as split_fields
from collectors.formats.json_lines import as_text, flatten, load
from collectors.formats.key_value import REST, pairs
from collectors.formats.parsed import values_of

MOST: Final = 0.9  # of the lines must keep a format
_DELIMITERS: Final = "\t|;,"
_LEAST: Final = 4  # fields of a delimited line, or it may be prose
_WIDEST: Final = 300  # fields of one: more are no table that a person could finish
_NAME: Final = re.compile(r"[A-Za-z_(][A-Za-z0-9_.() /-]{0,63}")
_FIELDS: Final = re.compile(r"#Fields:\s*(.+)", re.IGNORECASE)


class Shape(msgspec.Struct, frozen=True):
    """`format` as a product's YAML has it. `rows`: of each line that keeps it, name → text, in the line's order.
    `named`: the fields have names of the device, not only numbers."""

    format: dict[str, Any]
    rows: tuple[dict[str, str], ...]
    named: bool = True

    @property
    def body(self) -> str:
        return str(self.format["body"])

    @property
    def fields(self) -> dict[str, list[str]]:
        """Name → its texts that are not empty, over all lines."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            for name, text in row.items():
                values = found.setdefault(name, [])
                if text not in {"", "-"}:
                    values.append(text)
        return found


def infer(lines: Sequence[str]) -> Shape:
    """The shape of the lines; `lines` are not blank."""
    split = [syslog.split(line) for line in lines]
    headed = sum(header.time is not None or header.priority is not None for header, _ in split)
    header = headed >= MOST * len(lines)
    bodies = [message for _, message in split] if header else list(lines)
    head = {"header": "syslog"} if header else {}
    for body, read in (("json", _json), ("cef", None), ("leef", None), ("key_value", _pairs)):
        if read is None:
            mark = body.upper() + ":"
            if sum(mark in one[:64] for one in bodies) >= MOST * len(bodies):
                return Shape(head | {"body": body}, _marked(body, bodies))
            continue
        rows = [row for one in bodies if (row := read(one)) is not None]
        if len(rows) >= MOST * len(bodies):
            return Shape(head | {"body": body}, tuple(rows))
    return _delimited(bodies, head) or Shape(head | {"body": "text"}, ({},) * len(bodies))


def _json(text: str) -> dict[str, str] | None:
    try:
        found = load(text)
    except ValueError:
        return None
    if not isinstance(found, dict) or not found:
        return None
    return {name: "" if value is None else as_text(value) for name, value in flatten(found).items()}


def _pairs(text: str) -> dict[str, str] | None:
    """At least two pairs, and more of them than of words that are none."""
    names, values = pairs(text)
    row = dict(zip(names, values, strict=True))
    words = len(row.pop(REST, "").split())
    return row if len(row) >= 2 and len(row) >= words else None


def _marked(body: str, bodies: Sequence[str]) -> tuple[dict[str, str], ...]:
    from collectors.formats.cef import cef
    from collectors.formats.leef import leef

    parsed = (cef() if body == "cef" else leef())(list(bodies))
    rows = []
    for group in parsed.groups:
        for values in zip(*map(values_of, group.columns), strict=True):
            rows.append(
                {n: as_text(v) for n, v in zip(group.names, values, strict=True) if v is not None}
            )
    return tuple(rows)


def _delimited(bodies: Sequence[str], head: dict[str, Any]) -> Shape | None:
    """The delimiter that cuts nearly all lines into the same number of fields; the one with the most of them."""
    content = [one for one in bodies if not one.startswith("#")]
    best: tuple[int, str, list[list[str]]] | None = None
    for delimiter in _DELIMITERS:
        cut = [split_fields(one, delimiter, '"') for one in content]
        counts = Counter(map(len, cut))
        if not counts:
            return None
        count, often = counts.most_common(1)[0]
        if (
            _LEAST <= count <= _WIDEST
            and often >= MOST * len(cut)
            and (best is None or count > best[0])
        ):
            best = (count, delimiter, [one for one in cut if len(one) == count])
    spaced = next((m[1].split() for one in bodies if (m := _FIELDS.match(one))), None)
    if (
        best is None and spaced is not None
    ):  # W3C: names in a line of their own, blanks between fields
        cut = [one.split(" ") for one in content]
        whole = [one for one in cut if len(one) == len(spaced)]
        if whole and len(whole) >= MOST * len(cut):
            best = (len(spaced), " ", whole)
    if best is None:
        return None
    count, delimiter, cut = best
    columns, rows, named = _columns(cut, spaced)
    shape = {"body": "csv", "columns": columns, "least": max(2, count - 1)}
    if delimiter != ",":
        shape["delimiter"] = delimiter
    made = tuple(
        {name: value.strip() for name, value in zip(columns, row, strict=True)} for row in rows
    )
    return Shape(head | shape, made, named)


def _columns(
    cut: list[list[str]], spaced: list[str] | None
) -> tuple[list[str], list[list[str]], bool]:
    """Names, the rows without the line of names, and whether the names are the device's own."""
    count = len(cut[0])
    if spaced is not None and len(spaced) == count and len(set(spaced)) == count:
        return spaced, cut, True
    first = [one.strip() for one in cut[0]]
    is_names = len(set(first)) == count and all(_NAME.fullmatch(one) for one in first)
    if is_names and len(cut) > 1 and cut[1] != cut[0]:
        return first, cut[1:], True
    return [f"column_{number}" for number in range(1, count + 1)], cut, False
