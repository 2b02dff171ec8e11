"""The meaning of a search, said as plainly as can be, over one event: the oracle of every store.

In: a tree of `pipeline.store.query_tree` and an event as dotted names to values, as `Table.to_pylist` has
them. It folds, compares and walks without any of the shortcuts that stores take.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipeline.model import events
from pipeline.model.clock import to_micros
from pipeline.model.fold import lower, tokens
from pipeline.store import query_tree as q


def holds(node: q.Node, event: Mapping[str, Any]) -> bool:
    match node:
        case q.Everything():
            return True
        case q.And(parts):
            return all(holds(part, event) for part in parts)
        case q.Or(parts):
            return any(holds(part, event) for part in parts)
        case q.Not(part):
            return not holds(part, event)
        case q.Words():
            return any(_words(node, one) for one in _values(event, events.ORIGINAL))
        case q.EventId(value):
            return event[events.ID] == value
        case q.Exists(field):
            return bool(_values(event, field))
    return any(_value(node, one) for one in _values(event, node.field))


def _values(event: Mapping[str, Any], field: str) -> list[Any]:
    value = event.get(field)
    if value is None:
        value = dict(event.get(events.EXTRA) or ()).get(field)
    return [one for one in (value if isinstance(value, list) else [value]) if one is not None]


def _words(node: q.Words, text: str) -> bool:
    have = " " + " ".join(tokens(text)) + " "
    pattern = " ".join(re.escape(token) for token in node.tokens)
    start, stop = "" if node.open_start else "(?<= )", "" if node.open_end else "(?= )"
    return re.search(start + pattern + stop, have) is not None


def _value(node: q.Leaf, value: Any) -> bool:
    match node:
        case q.Keyword(_, wanted):
            return lower(_text(value)) == wanted
        case q.Wildcard(_, pattern):
            signs = {q.Wild.ANY: "(?s:.*)", q.Wild.ONE: "(?s:.)"}
            spelled = "".join(signs[p] if isinstance(p, q.Wild) else re.escape(p) for p in pattern)
            return re.fullmatch(spelled, lower(_text(value))) is not None
        case q.TextRange(_, low, high, with_low, with_high):
            return _inside(lower(_text(value)), low, high, with_low, with_high)
        case q.Numbers(_, low, high, with_low, with_high):
            number = _number(value)
            return number is not None and _inside(number, low, high, with_low, with_high)
        case q.Times(_, start, stop):
            if not isinstance(value, datetime):
                return False
            return _inside(to_micros(value), start, stop, True, False)
        case q.Addresses(_, first, last):
            number = _address(value)
            return number is not None and _inside(
                number.to_bytes(16, "big"), first, last, True, True
            )
        case q.Truth(_, wanted):
            return _text(value).lower() == str(wanted).lower()
    raise AssertionError(node)


def _number(value: Any) -> int | float | None:
    if isinstance(value, str):
        if not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", value.strip()):
            return None
        return float(value) if "." in value else int(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _address(value: Any) -> int | None:
    try:
        address = ipaddress.ip_address(_text(value))
    except ValueError:
        return None
    return int(address) + (0xFFFF << 32 if address.version == 4 else 0)


def _inside(value: Any, low: Any, high: Any, with_low: bool, with_high: bool) -> bool:
    above = low is None or value > low or (with_low and value == low)
    below = high is None or value < high or (with_high and value == high)
    return above and below


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
