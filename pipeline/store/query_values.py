"""Values of a search by the kind of their field.

In: ``10.0.0.0/8``, ``2026-11-24T09:00``, ``C\\:\\\\Win*``. Out: 16-byte addresses, microseconds, patterns.
What is no such value is a ValueError whose text says what was expected.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from datetime import UTC, datetime

from pipeline.model.clock import CITY_ZONE, to_micros
from pipeline.store.query_tree import Pattern, Wild

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?)?)?(Z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_NUMBER = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?", re.ASCII)
_MAPPED = b"\0" * 10 + b"\xff\xff"
INT64 = range(-(2**63), 2**63)


def pattern(raw: str) -> Pattern:
    """``a\\*b*`` is the text ``a*b`` and then anything: a backslash takes what follows as it is."""
    found: list[str | Wild] = []
    literal: list[str] = []
    characters = iter(raw)
    for char in characters:
        if char in "*?":
            if literal:
                found.append("".join(literal))
                literal = []
            if char == "?" or found[-1:] != [Wild.ANY]:
                found.append(Wild(char))
        else:
            literal.append(next(characters, "\\") if char == "\\" else char)
    if literal:
        found.append("".join(literal))
    return tuple(found)


def literal(pieces: Pattern) -> str | None:
    """The text of a pattern without wildcards, else None."""
    if any(isinstance(piece, Wild) for piece in pieces):
        return None
    return "".join(str(piece) for piece in pieces)


def number(text: str) -> int | float | None:
    """The number that a text reads as, or None."""
    text = text.strip()
    if len(text) > 62 or not _NUMBER.fullmatch(text):
        return None
    return float(text) if "." in text else int(text)


def whole(text: str) -> int:
    found = number(text)
    if not isinstance(found, int) or found not in INT64:
        raise ValueError("a whole number of 64 bits")
    return found


def real(text: str) -> int | float:
    found = number(text)
    if found is None:
        raise ValueError("a number")
    return found


def truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("true or false")
    return text.lower() == "true"


def time_span(text: str) -> tuple[int, int]:
    """The microseconds that a time of this precision covers: a day, a minute, a second …

    Without a zone it is the city's, as the console shows it.
    """
    wanted = "a time such as 2026-11-24, 2026-11-24T16:00 or 2026-11-24T09:00:00.000Z"
    read = _TIME.fullmatch(text)
    if not read:
        raise ValueError(wanted)
    day, hour, minute, second, fraction, zone = read.groups()
    if zone and not hour:
        raise ValueError(wanted)
    iso = f"{day}T{hour or '00'}:{minute or '00'}:{second or '00'}.{(fraction or '').ljust(6, '0')}"
    try:
        moment = datetime.fromisoformat(iso + zone if zone else iso)
        if not zone:
            moment = moment.replace(tzinfo=CITY_ZONE)
        start = to_micros(moment.astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise ValueError(wanted) from error
    if fraction:
        return start, start + 10 ** (6 - len(fraction))
    seconds = 1 if second else 60 if minute else 3_600 if hour else 86_400
    return start, start + seconds * 1_000_000


def address(text: str) -> bytes | None:
    """16 bytes of an IPv4 (mapped) or IPv6 address, or None."""
    try:
        if ":" in text:
            return socket.inet_pton(socket.AF_INET6, text)
        return _MAPPED + socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        return None


def network(text: str) -> tuple[bytes, bytes]:
    """The first and the last address of an address or a CIDR block."""
    one = address(text)
    if one is not None:
        return one, one
    try:
        block = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError("an address or a block such as 10.0.0.0/16") from error
    ends = (block.network_address.packed, block.broadcast_address.packed)
    first, last = (end if len(end) == 16 else _MAPPED + end for end in ends)
    return first, last


def beside(one: bytes, step: int) -> bytes | None:
    """The address before (-1) or after (1); None past the end."""
    moved = int.from_bytes(one, "big") + step
    return moved.to_bytes(16, "big") if 0 <= moved < 2**128 else None


def event_id(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-fA-F]{32}", text):
        raise ValueError("an event's id of 32 hexadecimal digits")
    return bytes.fromhex(text)
