"""A table as CSV for spreadsheets: UTF-8 with its mark, and no cell that a spreadsheet would run as a formula.

In: rows of texts and numbers. Out: bytes. A text that begins with one of ``= + - @``, a tab or a return gets an
apostrophe before it, which spreadsheets show as text.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_file(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return text.getvalue().encode("utf-8-sig", "replace")


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        shown = value.replace("\0", "")
        return f"'{shown}" if shown.startswith(_FORMULA) else shown
    return "" if value is None else value
