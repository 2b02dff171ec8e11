"""How results are shown: a table for people, or one JSON document; lists as ``{"items": […], "next": null}``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pipeline.model.clock import for_people, to_iso

_UNSAFE = {code: 0x2400 + code for code in range(32) if code != 0x0A} | {0x7F: 0x2421, 0x9B: 0xFFFD}


def safe(text: str) -> str:
    """Text of logs as a terminal may see it: control characters as pictures, no escape sequences."""
    return text.translate(_UNSAFE)


def show_one(item: Mapping[str, Any], *, as_json: bool) -> None:
    """One thing: JSON, or a line a field."""
    if as_json:
        _dump(item)
        return
    width = max(map(len, item), default=0)
    for name, value in item.items():
        first, *more = safe(_text(value)).split("\n")
        sys.stdout.write(f"{name:<{width}}  {first}\n")
        for line in more:
            sys.stdout.write(f"{'':<{width}}  {line}\n")


def show_list(
    items: Sequence[Mapping[str, Any]], *, as_json: bool, following: str | None = None
) -> None:
    """A list: JSON, or a table with a head; says so when it is empty."""
    if as_json:
        _dump({"items": list(items), "next": following})
        return
    if not items:
        sys.stderr.write("(không có gì / nothing)\n")
        return
    names = list(items[0])
    rows = [
        [safe(_text(item.get(name))).replace("\n", "␊")[:100] for name in names] for item in items
    ]
    widths = [max(len(name), *(len(row[i]) for row in rows)) for i, name in enumerate(names)]
    for row in [names, *rows]:
        sys.stdout.write(
            "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() + "\n"
        )
    if following:
        sys.stderr.write(f"(… --after {following})\n")


def _dump(document: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False, default=_json, indent=2) + "\n")


def _json(value: object) -> Any:
    if isinstance(value, datetime):
        return to_iso(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return for_people(value)
        case bool():
            return "yes" if value else "no"
        case list() | tuple() | set() | frozenset():
            return ", ".join(map(_text, value))
        case dict():
            return json.dumps(value, ensure_ascii=False, default=_json)
        case _:
            return str(value)
