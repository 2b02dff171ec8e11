"""The W3C extended log format, as IIS writes it: fields between blanks, named by a line ``#Fields:``.

In, one request a record, or a record that carries its header before it::

    2026-11-24 02:00:00 10.0.0.5 GET /tra-cuu.aspx ho_ten=An 443 CITY\\an 203.0.113.5 Mozilla/5.0+(X11) - 200 0 0 15
    #Fields: date time c-ip cs-method cs-uri-stem sc-status<newline>2026-11-24 02:00:00 203.0.113.5 GET / 200

Out: the fields under their own names (``cs(User-Agent)`` with its blanks back), `time` as one UTC time, and `url`:
path and query together. Directives alone are dropped.

The header may have come in another batch, and a result never depends on what came before: a record without one is
told by its values. IIS writes the fields that were chosen in an order of its own that cannot be changed (`ORDER`);
method, path, port, addresses and the numbers at the end show which of them are there. What follows them is kept as
``column.<number>``. A line in another order, without its header, is a failure, unless its source has declared the order
(`usual`): who reads a file from its beginning gives such a line its header (`Carried`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from collectors.formats.parsed import Format, Grouper, Parsed

ORDER: Final = (
    "date", "time", "s-sitename", "s-computername", "s-ip", "cs-method", "cs-uri-stem", "cs-uri-query", "s-port",
    "cs-username", "c-ip", "cs-version", "cs(User-Agent)", "cs(Cookie)", "cs(Referer)", "cs-host", "sc-status",
    "sc-substatus", "sc-win32-status", "sc-bytes", "cs-bytes", "time-taken",
)  # fmt: skip
_METHOD: Final = re.compile(r"[A-Z][A-Z_-]{1,31}", re.ASCII)
_ADDRESS: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:%\d+)?", re.ASCII)
_STATUS: Final = re.compile(r"[1-5]\d\d", re.ASCII)
_NUMBER: Final = re.compile(r"-|\d{1,20}", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TAILS: Final = {
    1: ("sc-status",),
    2: ("sc-status", "time-taken"),
    3: ("sc-status", "sc-substatus", "sc-win32-status"),
    4: ("sc-status", "sc-substatus", "sc-win32-status", "time-taken"),
    5: ("sc-status", "sc-substatus", "sc-win32-status", "sc-bytes", "cs-bytes"),
    6: ("sc-status", "sc-substatus", "sc-win32-status", "sc-bytes", "cs-bytes", "time-taken"),
}
_MOST: Final = 256


def told_by_values(values: Sequence[str]) -> tuple[str, ...] | None:
    """The names of a line's fields in IIS's own order; None if its values do not show them."""
    for method in range(2, min(6, len(values) - 6)):
        if (
            _METHOD.fullmatch(values[method])
            and _NUMBER.fullmatch(values[method + 3])
            and _ADDRESS.fullmatch(values[method + 5])
        ):
            head = _head(values[2:method])
            end = _status(values, method + 6)
            if head is None or end is None:
                return None
            names = (
                "date", "time", *head, "cs-method", "cs-uri-stem", "cs-uri-query", "s-port", "cs-username", "c-ip",
                *_middle(values[method + 6 : end]), *_tail(values[end:]),
            )  # fmt: skip
            return names[: len(values)]
    return None


def _head(values: Sequence[str]) -> list[str] | None:
    names = []
    for place, value in enumerate(values):
        if place == len(values) - 1 and _ADDRESS.fullmatch(value):
            names.append("s-ip")
        elif value.startswith("W3SVC"):
            names.append("s-sitename")
        elif "s-computername" not in names:
            names.append("s-computername")
        else:
            return None
    return names


def _status(values: Sequence[str], start: int) -> int | None:
    """Where the numbers at the end begin."""
    return next(
        (
            place
            for place in range(start, min(start + 6, len(values)))
            if _STATUS.fullmatch(values[place])
            and all(_NUMBER.fullmatch(value) for value in values[place : place + 3])
        ),
        None,
    )


def _middle(values: Sequence[str]) -> list[str]:
    """Version, user agent, cookie, referrer and host: those that are there, by their looks."""
    names: list[str] = []
    left = ["cs(User-Agent)", "cs(Cookie)", "cs(Referer)", "cs-host"]
    for place, value in enumerate(values):
        if place == 0 and value.startswith("HTTP/"):
            names.append("cs-version")
            continue
        more = len(values) - place
        if "://" in value and "cs(Referer)" in left:
            name = "cs(Referer)"
        elif more >= len(left) or left[0] == "cs(User-Agent)":
            name = left[0]
        elif "=" in value and left[0] == "cs(Cookie)":
            name = "cs(Cookie)"
        elif left[0] == "cs(Cookie)" and more < 3:
            name = "cs(Referer)"
        elif left[0] == "cs(Referer)" and value != "-":
            name = "cs-host"
        else:
            name = left[0]
        names.append(name)
        left = left[left.index(name) + 1 :] or [f"extra.{place}"]
    return names


def _tail(values: Sequence[str]) -> tuple[str, ...]:
    numbers = 0
    while numbers < min(len(values), 6) and _NUMBER.fullmatch(values[numbers]):
        numbers += 1
    return _TAILS[numbers]


class Carried:
    """A file's lines, in their order, as records that can be read alone: with their ``#Fields`` line before them where
    their values do not show the same."""

    def __init__(self) -> None:
        self._header = b""
        self._names: tuple[str, ...] = ()

    def record(self, line: bytes) -> bytes:
        if line[:1] == b"#":
            if line.startswith(b"#Fields:"):
                self._header, self._names = line, _named(line[8:].decode("utf-8", "replace"))
            return line
        if not self._header or not line:
            return line
        text = line.decode("utf-8", "replace")
        if told_by_values(text.split("\t" if "\t" in text else " ")) == self._names:
            return line
        return b"%s\n%s" % (self._header, line)


@lru_cache(maxsize=256)
def _named(header: str) -> tuple[str, ...]:
    return tuple(header.split()[:_MOST])


def _url(fields: dict[str, str]) -> str:
    path, query = fields.get("cs-uri-stem", "-"), fields.get("cs-uri-query", "-")
    return path if query in {"-", ""} else f"{path}?{query}"


def _record(header: str, line: str, usual: str = "") -> dict[str, str] | str:
    """The fields, or why there are none."""
    values = line.split("\t" if "\t" in line else " ")
    if not header and usual and len(_named(usual)) == len(values):
        header = usual
    names = _named(header) if header else told_by_values(values)
    if names is None:
        return "W3C fields in an order that is not IIS's, without a #Fields line"
    if header and len(names) != len(values):
        return f"{len(values)} fields, the #Fields line names {len(names)}"
    fields = dict(zip(names, values, strict=False))
    for place in range(len(names), min(len(values), _MOST)):
        fields[f"column.{place + 1}"] = values[place]
    if _DATE.fullmatch(fields.get("date", "")):
        fields["time"] = f"{fields.pop('date')}T{fields.get('time', '00:00:00')}Z"
    if "cs-uri-stem" in fields:
        fields["url"] = _url(fields)
    if "cs(User-Agent)" in fields:
        fields["cs(User-Agent)"] = fields["cs(User-Agent)"].replace("+", " ")
    return fields


def w3c(usual: str = "") -> Format:
    """A format of W3C extended lines. `usual` are the names of a record's fields that carries no header of its own."""

    def parse(lines: Sequence[str | None]) -> Parsed:
        parsed, grouper = Parsed(), Grouper()
        for row, text in enumerate(lines):
            if text is None:
                continue
            header, line = "", text
            if text[:1] == "#":
                *directives, line = text.rstrip("\r\n").split("\n")
                if line[:1] == "#":
                    parsed.dropped.add(row)
                    continue
                for directive in directives:
                    if directive.startswith("#Fields:"):
                        header = directive[8:].strip()
            found = _record(header, line.rstrip("\r\n"), usual)
            if isinstance(found, str):
                parsed.failures[row] = found
            else:
                grouper.add(row, tuple(found), tuple(found.values()))
        parsed.groups.extend(grouper.groups())
        return parsed

    return parse
