"""How results are shown: a table for people, or one JSON document; lists as ``{"items": […], "next": null}``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pipeline.cli.tables import lay_out, terminal_width
from pipeline.model.clock import for_people, to_iso

_UNSAFE = {code: 0x2400 + code for code in range(32) if code != 0x0A}
_UNSAFE |= {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
# Marks that turn the direction of writing could make a line read as another.
_UNSAFE |= dict.fromkeys((0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD)  # fmt: skip


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
        first, *more = safe(as_text(value)).split("\n")
        sys.stdout.write(f"{name:<{width}}  {first}".rstrip() + "\n")
        for line in more:
            sys.stdout.write(f"{'':<{width}}  {line}".rstrip() + "\n")


def show_list(
    items: Sequence[Mapping[str, Any]],
    *,
    as_json: bool,
    columns: Sequence[str] = (),
    following: str | None = None,
) -> None:
    """A list: JSON of whole items, or a table of the `columns` (all, if none are named); says so when
    it is empty, and how to go on when it is not the end."""
    if as_json:
        _dump({"items": list(items), "next": following})
        return
    if not items:
        sys.stderr.write("(không có gì / nothing)\n")
        return
    names = list(columns or items[0])
    rows = [[safe(as_text(item.get(name))).replace("\n", "␊") for name in names] for item in items]
    for line in lay_out(names, rows, terminal_width()):
        sys.stdout.write(line + "\n")
    if following:
        sys.stderr.write(f"(còn nữa / more: --after {following})\n")


def show_part(title: str, items: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """A list within an answer for people, under its title; says so when there is none."""
    show_title(title if items else f"{title}: không có / none")
    if items:
        show_list(items, as_json=False, columns=columns)


def matched_fields(sample: Mapping[str, Any]) -> dict[str, Any]:
    """What made the match of a finding's sample, and the rule by which a correlation read it."""
    by = {"rule": sample["rule_title"]} if sample.get("rule_title") else {}
    return by | (sample.get("fields") or {})


def show_title(text: str) -> None:
    """A heading between the parts of an answer for people."""
    sys.stdout.write(f"\n— {safe(text)}\n")


def _dump(document: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False, default=_json, indent=2) + "\n")


def _json(value: object) -> Any:
    if isinstance(value, datetime):
        return to_iso(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


def as_text(value: object) -> str:
    """A value as people read it: times in the city's zone."""
    match value:
        case None:
            return ""
        case datetime():
            return for_people(value)
        case timedelta():
            return f"{value.total_seconds():.3g} s"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(map(as_text, value))
        case set() | frozenset():
            return ", ".join(sorted(map(as_text, value)))
        case dict():
            return json.dumps(value, ensure_ascii=False, default=_json)
        case _:
            return str(value)
