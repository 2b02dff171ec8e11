"""The engine of ``thapcanh match``: normalised tables in, one line a match out, in the file's order.

    {"rule_id": "0248a7bc-8a9a-4cd8-a57e-3ae8e073a073", "line": 5106, "title": "ISO Image Mounted", "level": "medium"}

`line` is the physical line of a text file, from 1, or the record number of an EVTX file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from pipeline.detect.matching.compile import Compiled
from pipeline.model import events

if TYPE_CHECKING:
    import pyarrow as pa


class FileMatch(msgspec.Struct, frozen=True):
    """One rule and one line."""

    rule_id: str
    line: int
    title: str
    level: str


def matches(compiled: Compiled, batches: Iterable[Mapping[str, pa.Table]]) -> Iterator[FileMatch]:
    """The matches of each batch (tables by dataset, `thapcanh.sequence` being the line), by line, then rule id."""
    for tables in batches:
        found: list[FileMatch] = []
        for dataset, table in tables.items():
            rows, rules = compiled.match(dataset, table)
            lines = table.column(events.SEQUENCE).to_numpy()
            for row, place in zip(rows, rules, strict=True):
                rule = compiled.rules[place]
                found.append(FileMatch(rule.id, int(lines[row]), rule.title, rule.level.value))
        yield from sorted(found, key=lambda match: (match.line, match.rule_id))
