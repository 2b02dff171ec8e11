"""What a leaf asks of one text: the meaning of every operator, in one place, slow and plain.

In: an operator and its argument. Out: a function from a text to yes or no. The reference evaluator
uses nothing else; the matcher must come to the same by other ways.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_network
from typing import Final

from pipeline.detect.matching.regex import compiled
from pipeline.detect.matching.text import fold
from pipeline.detect.matching.tree import Leaf

Test = Callable[[str], bool]
_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)


@lru_cache(maxsize=65_536)
def question(leaf: Leaf) -> Test:
    """The test of a text leaf (not of `null`, `exists` and field references). Unfolded text goes in."""
    test = _folded_question(leaf)
    if leaf.cased or leaf.op not in {"eq", "contains", "startswith", "endswith", "like"}:
        return test
    return lambda text: test(fold(text))


def _folded_question(leaf: Leaf) -> Test:
    arg = leaf.arg
    if leaf.op == "eq":
        return lambda text: text == arg
    if leaf.op == "contains":
        return lambda text: arg in text
    if leaf.op == "startswith":
        return lambda text: text.startswith(arg)
    if leaf.op == "endswith":
        return lambda text: text.endswith(arg)
    if leaf.op == "like":
        pattern = compiled(like_regex(arg))
        return lambda text: pattern.fullmatch(text) is not None
    if leaf.op == "re":
        pattern = compiled(arg)
        return lambda text: pattern.search(text) is not None
    if leaf.op == "cidr":
        return _cidr(arg)
    if leaf.op in _COMPARE:
        compare, bound = _COMPARE[leaf.op], float(arg)
        return lambda text: (number := as_number(text)) is not None and compare(number, bound)
    if leaf.op in _PARTS:
        part, wanted = _PARTS[leaf.op], int(arg)
        return lambda text: (moment := as_time(text)) is not None and part(moment) == wanted
    raise ValueError(f"no question to a text: {leaf.op}")


_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
}
_PARTS: Final[dict[str, Callable[[datetime], int]]] = {
    "minute": lambda moment: moment.minute,
    "hour": lambda moment: moment.hour,
    "day": lambda moment: moment.day,
    "week": lambda moment: moment.isocalendar().week,
    "month": lambda moment: moment.month,
    "year": lambda moment: moment.year,
}


def like_regex(pattern: str) -> str:
    """RE2's expression for a text with Sigma's wildcards (`\\*`, `\\?` and `\\\\` are plain)."""
    parts = []
    for escaped, wild, plain in re.findall(r"\\([\\*?])|([*?])|([^\\*?]+|\\)", pattern):
        if wild:
            parts.append("(?s:.*)" if wild == "*" else "(?s:.)")
        else:
            parts.append(_quoted(escaped or plain))
    return "".join(parts)


def _quoted(text: str) -> str:
    """Literal for RE2: only ASCII punctuation may be escaped."""
    return (
        re.sub(
            r"([^\w\s]|\n)", lambda m: "\\n" if m[0] == "\n" else f"\\{m[0]}", text, flags=re.ASCII
        )
        if text.isascii()
        else "".join(f"\\{c}" if c in r".^$*+?{}[]\|()-" else c for c in text)
    )


def as_number(text: str) -> float | None:
    """A decimal number, or None: `1_000`, `0x10`, `nan` and blanks are no numbers."""
    return float(text) if len(text) < 64 and _NUMBER.fullmatch(text) else None


def as_time(text: str) -> datetime | None:
    """ISO 8601, in UTC; a time without a zone counts as UTC."""
    if len(text) > 40 or len(text) < 8:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def packed_address(text: str) -> bytes | None:
    """4 or 16 bytes of a textual address, None if it is none; an IPv4-mapped one counts as IPv4."""
    try:
        if ":" not in text:
            return socket.inet_pton(socket.AF_INET, text)
        packed = socket.inet_pton(socket.AF_INET6, text.split("%", maxsplit=1)[0])
    except (OSError, ValueError, UnicodeEncodeError):
        return None
    return packed[12:] if packed[:12] == b"\0" * 10 + b"\xff\xff" else packed


def _cidr(arg: str) -> Test:
    network = ip_network(arg)
    packed = network.network_address.packed
    bits, shift = len(packed), network.max_prefixlen - network.prefixlen
    wanted = int.from_bytes(packed) >> shift

    def within(text: str) -> bool:
        address = packed_address(text)
        return (
            address is not None
            and len(address) == bits
            and int.from_bytes(address) >> shift == wanted
        )

    return within
