"""Comma or tab separated fields in a fixed order: PAN-OS, pfSense filterlog, Exchange tracking.

In: one line, e.g. ``1,2026/11/24 09:00:00,007,TRAFFIC,end,"a, b",10.1.1.1``.
Out: one value a declared column, None where the field is empty; more fields than columns come as
``column.<number from 1>``.
`columns_by` chooses the list of columns by the text of one field (PAN-OS: field 4 is the type).
A line that starts with `#` (W3C header, Exchange) is dropped, as is a line of the column names.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import lru_cache

from collectors.formats.parsed import Format, Grouper, Parsed


def fields(line: str, delimiter: str, quote: str) -> list[str]:
    """The fields of one line. An odd quote is text, not an error."""
    if quote not in line:
        return line.split(delimiter)
    try:
        return next(
            csv.reader((line,), delimiter=delimiter, quotechar=quote, skipinitialspace=True)
        )
    except (csv.Error, StopIteration):
        return line.split(delimiter)


def csv_fields(
    columns: Sequence[str] | Mapping[str, Sequence[str]],
    *,
    columns_by: int = 0,
    delimiter: str = ",",
    quote: str = '"',
    least: int = 2,
) -> Format:
    """A format of delimited lines. `columns_by` counts from 1; `least` fields make a line."""
    lists = columns if isinstance(columns, Mapping) else {"": columns}

    @lru_cache(maxsize=4096)
    def names(kind: str, count: int) -> tuple[str, ...]:
        known = list(lists.get(kind, lists.get("*", ())))[:count]
        return tuple(name or f"column.{i}" for i, name in enumerate(known, 1)) + tuple(
            f"column.{i}" for i in range(len(known) + 1, count + 1)
        )

    def parse(lines: Sequence[str | None]) -> Parsed:
        parsed, grouper = Parsed(), Grouper()
        for row, line in enumerate(lines):
            if line is None:
                continue
            if line[:1] == "#":
                parsed.dropped.add(row)
                continue
            values = fields(line, delimiter, quote)
            if len(values) < least:
                parsed.failures[row] = f"{len(values)} fields, expected at least {least}"
                continue
            kind = values[columns_by - 1] if columns_by and columns_by <= len(values) else ""
            shape = names(
                kind if kind in lists else "*" if columns_by else "", min(len(values), 1024)
            )
            if tuple(values) == shape:
                parsed.dropped.add(row)
                continue
            grouper.add(row, shape, [value or None for value in values[: len(shape)]])
        parsed.groups.extend(grouper.groups())
        return parsed

    return parse
