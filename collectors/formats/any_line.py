"""A line of no known product, taken by its look: JSON, CEF, LEEF, key=value, else plain text.

In: the message of a line. Out: the fields of whatever it looks like, and `message`, the whole of it
(not for JSON, whose fields are all there is).
Nothing fails here: what does not read as what it looks like is text. Fewer than `PAIRS` pairs, or
pairs among much other text, are text too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from collectors.formats.cef import parts as cef_parts
from collectors.formats.json_lines import exact, flatten, load
from collectors.formats.key_value import REST, pairs
from collectors.formats.leef import parts as leef_parts
from collectors.formats.parsed import Format, Grouper, Parsed, Value

PAIRS: Final = 3
MAX_FIELDS: Final = 1_000


def fields(line: str) -> dict[str, Value]:
    """What the line holds beside its text."""
    found: dict[str, Value] | None = None
    start = line.lstrip()[:1]
    if start == "{":
        try:
            document = load(line)
        except ValueError:
            return {}
        if document.__class__ is not dict:
            return {}
        found = flatten(document)
        if any(value.__class__ is float and abs(value) >= 2.0**63 for value in found.values()):
            found = flatten(exact(line))
        return found or {"message": line}
    if "CEF:" in line:
        found = dict(cef_parts(line) or {})
    elif "LEEF:" in line:
        found = dict(leef_parts(line) or {})
    elif line.count("=") >= PAIRS:
        names, values = pairs(line)
        rest = len(values[-1]) if names and names[-1] == REST else 0
        if len(names) >= PAIRS and rest * 2 < len(line):
            found = dict(zip(names, values, strict=True))
            found.pop(REST, None)
    return found or {}


def any_line() -> Format:
    """A format that takes every line."""

    def parse(lines: Sequence[str | None]) -> Parsed:
        parsed, grouper = Parsed(), Grouper()
        for row, line in enumerate(lines):
            if line is None:
                continue
            found = fields(line)
            if len(found) > MAX_FIELDS:
                parsed.note(row, f"{len(found)} fields, of which {MAX_FIELDS} are taken")
                found = dict(list(found.items())[:MAX_FIELDS])
            if (not line.lstrip().startswith("{") or not found) and not found.get("message"):
                found["message"] = line
            grouper.add(row, tuple(found), tuple(found.values()))
        parsed.groups.extend(grouper.groups())
        return parsed

    return parse
