"""IBM QRadar's Log Event Extended Format, 1.0 and 2.0.

In: ``LEEF:1.0|Vendor|Product|1.0|100|src=10.0.0.1<tab>dst=…`` or ``LEEF:2.0|V|P|1|100|^|src=…^dst=…``
(the delimiter of 2.0 may be written ``x5E`` or ``0x5E``).
Out: ``leef.version``, ``leef.vendor``, ``leef.product``, ``leef.device_version``, ``leef.event_id``,
then the attributes' keys as they are. Without the five bars: a failure.
"""

from __future__ import annotations

import re
from typing import Final

from collectors.formats.parsed import Format, another, line_by_line

NAMES: Final = tuple(
    f"leef.{n}" for n in ("version", "vendor", "product", "device_version", "event_id")
)
_HEX: Final = re.compile(r"(?:0x|x|\\x)([0-9A-Fa-f]{2,4})")


def _delimiter(text: str) -> str:
    code = _HEX.fullmatch(text)
    if code:
        return chr(int(code[1], 16))
    return text or "\t"


def parts(line: str) -> dict[str, str] | None:
    """All fields of one line, or None if it is not LEEF."""
    start = line.find("LEEF:")
    if start < 0:
        return None
    heads = line[start + 5 :].split("|", 5)
    if len(heads) < 6:
        return None
    body, delimiter = heads[5], "\t"
    if heads[0].strip().startswith("2"):
        given, bar, rest = body.partition("|")
        if bar and (len(given) <= 1 or _HEX.fullmatch(given)):
            delimiter, body = _delimiter(given), rest
    elif "\t" not in body and "=" in body and "^" in body:
        delimiter = "^"  # devices that write 1.0 but separate as 2.0 does
    fields = dict(zip(NAMES, heads[:5], strict=True))
    counts: dict[str, int] = {}
    for pair in body.split(delimiter):
        key, equals, value = pair.partition("=")
        name = key.strip()
        if not equals or not name or len(name) > 128:
            continue
        fields[another(name, fields, counts) if name in fields else name] = value.strip()
    return fields


def leef() -> Format:
    """A format of LEEF lines."""
    return line_by_line(parts, "not LEEF: expected LEEF:1.0| and four bars more")
