"""ArcSight's Common Event Format.

In: ``CEF:0|Vendor|Product|1.0|100|worm stopped|10|src=10.0.0.1 msg=a \\= b cs1Label=Rule cs1=deny all``
(anything before ``CEF:`` is left to the syslog header).
Out: ``cef.version``, ``cef.vendor`` … ``cef.severity``, then the extension's keys as they are. A value
with a label comes under the label too (``cs1`` and ``Rule``). Without the seven bars: a failure.
"""

from __future__ import annotations

import re
from typing import Final

from collectors.formats.parsed import Format, another, line_by_line

_HEAD: Final = ("version", "vendor", "product", "device_version", "class_id", "name", "severity")
NAMES: Final = tuple(f"cef.{name}" for name in _HEAD)
_BAR: Final = re.compile(r"((?:[^|\\]|\\.)*)\|", re.DOTALL)
_KEY: Final = re.compile(r"(?:^|(?<=\s))([\w.\-\[\]]{1,128})=", re.ASCII)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_UNDONE: Final = {"n": "\n", "r": "\r"}


def undo(text: str) -> str:
    """``\\=``, ``\\|``, ``\\\\`` and ``\\n`` back to what they stand for."""
    return _ESCAPE.sub(lambda m: _UNDONE.get(m[1], m[1]), text) if "\\" in text else text


def extension(text: str) -> dict[str, str]:
    """``key=value key=value``, where values may hold spaces: a value ends where the next key begins."""
    keys = [m for m in _KEY.finditer(text) if not _escaped(text, m.end() - 1)]
    fields: dict[str, str] = {}
    counts: dict[str, int] = {}
    for match, following in zip(keys, [*keys[1:], None], strict=False):
        end = following.start() if following is not None else len(text)
        name = another(match[1], fields, counts) if match[1] in fields else match[1]
        fields[name] = undo(text[match.end() : end].strip())
    return fields


def _escaped(text: str, position: int) -> bool:
    return position > 0 and text[position - 1] == "\\"


def _labelled(fields: dict[str, str]) -> None:
    for key in [key for key in fields if key.endswith("Label")]:
        value = fields.get(key[:-5])
        label = fields[key]
        if value is not None and label and label not in fields:
            fields[label] = value


def parts(line: str) -> dict[str, str] | None:
    """All fields of one line, or None if it is not CEF."""
    start = line.find("CEF:")
    if start < 0:
        return None
    position = start + 4
    heads: list[str] = []
    while len(heads) < 7:
        bar = _BAR.match(line, position)
        if bar is None:
            if len(heads) < 6:
                return None
            heads.append(line[position:])  # the severity may be the last thing on the line
            position = len(line)
            break
        heads.append(bar[1])
        position = bar.end()
    fields = {name: undo(head).strip() for name, head in zip(NAMES, heads, strict=True)}
    fields |= {key: value for key, value in extension(line[position:]).items() if key not in fields}
    _labelled(fields)
    return fields


def cef() -> Format:
    """A format of CEF lines."""
    return line_by_line(parts, "not CEF: expected CEF:0| and six bars more")
