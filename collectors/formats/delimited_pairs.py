"""Pairs with a character of their own between them, and perhaps another within.

In: the message of a line, e.g. of Huawei (``,`` and ``=``) or Check Point (``;`` and ``:``, or ``|`` and ``=``) ::

    IPVer=4,Protocol=tcp,SourceIP=10.1.1.1, DestinationIP=10.1.1.2
    [action:"Accept"; origin:"10.0.0.1"; product:"VPN-1 & FireWall-1"]

Out: as `key_value`, but a value may hold blanks: one value a key, quotes off and escapes undone; a key
that comes twice keeps both (``key#2``), words without a pair are kept under ``#rest``.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from collectors.formats.key_value import REST
from collectors.formats.parsed import Format, another, line_by_line

_ESCAPE: Final = re.compile(r"\\([\"\\=:;,|])")


def delimited(line: str, separator: str, equals: str) -> dict[str, str]:
    """The fields of one line, in order."""
    fields: dict[str, str] = {}
    rest: list[str] = []
    counts: dict[str, int] = {}
    if line.rstrip().endswith("]"):  # what stands before the bracket is a header in no form known
        line = line[line.find("[") + 1 :]
    for key, quoted, bare, word in _pattern(separator, equals).findall(line.strip("[] ")):
        if word.strip():
            rest.append(word.strip())
        if not key:
            continue
        value = quoted or bare.strip()
        name = another(key, fields, counts) if key in fields else key
        fields[name] = _ESCAPE.sub(r"\1", value) if "\\" in value else value
    if rest:
        fields[REST] = " ".join(rest)
    return fields


@cache
def _pattern(separator: str, equals: str) -> re.Pattern[str]:
    end, is_ = re.escape(separator), re.escape(equals)
    return re.compile(
        rf"\s*([^\s{end}{is_}\"]{{1,128}}){is_}\s*"
        rf"(?:\"((?:[^\"\\]|\\.)*)\"\s*|((?:[^{end}\\]|\\.)*))(?:{end}|$)"
        rf"|([^{end}]+)(?:{end}|$)",
        re.ASCII | re.DOTALL,
    )


def delimited_pairs(separator: str, equals: str) -> Format:
    """A format of lines with `separator` between the pairs and `equals` within."""

    def parts(line: str) -> dict[str, str] | None:
        fields = delimited(line, separator, equals)
        return None if fields.keys() <= {REST} else fields

    return line_by_line(parts, "no pair of a key and a value in the line")
