"""One JSON object a line, flat or nested.

In: text or bytes, e.g. ``{"user": {"name": "an"}, "port": 22, "tags": ["a", "b"]}``.
Out: names with dots for nested objects (``user.name``), values as JSON has them; lists stay lists.
Objects nested deeper than `MAX_DEPTH` stay one value. Two ways to one name (``{"a": {"b": 1},
"a.b": 2}``) both stay, the second as ``a.b#2``. Numbers beyond 64 bits come as their digits, text.
Not an object, or not JSON at all: a failure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import orjson

from collectors.formats.parsed import Format, Group, Grouper, Parsed, Value, another
from collectors.formats.text import clean

MAX_DEPTH: Final = 16
_BIG: Final = 2.0**63
_NESTED: Final = frozenset([dict])


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= 18 or -(2**63) <= int(digits[:30]) < 2**64 else digits


def load(line: str | bytes) -> Any:
    """The value of a line, fast, or slowly and forgivingly. Raises ValueError with a clear reason."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return _load_slowly(line, error)


def _load_slowly(line: str | bytes, why: Exception) -> Any:
    """Lone surrogates, NaN, control characters in text and raw numbers, which the fast way refuses."""
    text = line if isinstance(line, str) else line.decode("utf-8", "replace")
    if len(text) > 4_000_000 or "depth limit" in str(why):
        raise ValueError(f"not JSON that can be read: {why}") from None
    try:
        return json.loads(clean(text), strict=False, parse_int=_integer, parse_constant=str)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise ValueError(f"not JSON: {reason}") from None


def exact(line: str | bytes) -> Any:
    """As `load`, but numbers beyond 64 bits as their digits (the fast way rounds them)."""
    return _load_slowly(line, ValueError(""))


def flatten(document: dict[str, Value]) -> dict[str, Value]:
    """Nested objects as dotted names. An empty object stays a value."""
    flat: dict[str, Value] = {}

    twice: dict[str, int] = {}

    def walk(prefix: str, part: dict[str, Value], depth: int) -> None:
        for key, value in part.items():
            if value.__class__ is dict and value and depth < MAX_DEPTH:
                walk(f"{prefix}{key}.", value, depth + 1)
            else:
                name = prefix + key
                flat[another(name, flat, twice) if name in flat else name] = value

    walk("", document, 1)
    return flat


def _has_big(group: Group) -> bool:
    return any(
        float in set(map(type, column))
        and any(value.__class__ is float and abs(value) >= _BIG for value in column)
        for column in group.columns
    )


def json_lines() -> Format:
    """A format of JSON objects, one a line."""

    def parse(lines: Sequence[str | bytes | None]) -> Parsed:
        parsed, grouper = Parsed(), Grouper()
        add = grouper.add
        for row, line in enumerate(lines):
            if line is None:
                continue
            try:
                document = load(line)
            except ValueError as error:
                parsed.failures[row] = str(error)
                continue
            if document.__class__ is not dict:
                parsed.failures[row] = "JSON, but not an object"
                continue
            add(row, tuple(document), tuple(document.values()))
        nested = Grouper()
        for group in grouper.groups():
            if _has_big(group) or any(_NESTED & set(map(type, column)) for column in group.columns):
                _split(group, lines, nested)
            else:
                parsed.groups.append(group)
        parsed.groups.extend(nested.groups())
        return parsed

    return parse


def _split(group: Group, lines: Sequence[str | bytes | None], into: Grouper) -> None:
    """The rows of a group again, one by one, with nested objects flat and big numbers exact."""
    big = _has_big(group)
    for row, values in zip(group.rows, zip(*group.columns, strict=True), strict=True):
        document = dict(zip(group.names, values, strict=True))
        if big:
            with suppress(
                ValueError
            ):  # what the fast way read, the slow way may refuse (size, depth)
                document = exact(lines[row] or "")
        flat = flatten(document)
        into.add(row, tuple(flat), tuple(flat.values()))


def as_text(value: Value) -> str:
    """Any value as one text: texts as they are, the rest as JSON writes them."""
    if value.__class__ is str:
        return value
    if value.__class__ is bool:
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    try:
        return orjson.dumps(value).decode()
    except (TypeError, ValueError):  # lone surrogates, depth, integers beyond 64 bits
        return clean(_deep_text(value))


def _deep_text(value: Value) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (RecursionError, ValueError):
        return re.sub(r"\s+", " ", "nested too deep")
