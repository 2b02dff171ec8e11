"""The values of a whole record, for keywords: what stands in `event.original`, taken apart.

In: the decoded text as it came. Out: its values as texts. A JSON document counts as every value in
it (keys do not count), XML as written and with its entities resolved, any other text as one value.
So a keyword means the same whatever a mapping makes of the record.

    {"EventID": 4104, "Message": "C:\\\\Temp"}   ->  ("4104", "C:\\Temp")
    Failed password for root from 192.0.2.7      ->  the line itself
"""

from __future__ import annotations

import html
from typing import Any

import orjson

from pipeline.detect.matching.text import nfc, texts


def record_values(original: str | None) -> tuple[str, ...]:
    """Every value of the record; empty for a missing one."""
    if original is None:
        return ()
    head = original.lstrip()[:1]
    if head in {"{", "["}:
        try:
            document = orjson.loads(original)
        except orjson.JSONDecodeError:
            return texts(original)
        return tuple(_leaves(document))
    if head == "<" and "&" in original:
        plain = html.unescape(original)
        if plain != original:
            return (*texts(original), *texts(plain))
    return texts(original)


def _leaves(document: Any) -> list[str]:
    found: list[str] = []
    stack = [document]
    while stack:
        here = stack.pop()
        if isinstance(here, str):
            found.append(here)
            if not here.isascii() and nfc(here) != here:
                found.append(nfc(here))
        elif isinstance(here, dict):
            stack.extend(here.values())
        elif isinstance(here, list):
            stack.extend(here)
        elif here is not None:
            found.extend(texts(here))
    return found
