"""Which documents were opened before a rule of ours named them: `references.tsv` beside the rules.

In: a folder of rules. Out: each address with the day on which somebody read it, and where (the page itself,
or a copy of it). A folder without the file keeps no such book, and nothing is asked of its rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Final

from pipeline.detect.rulebook.rules import Rule
from pipeline.model.errors import UsageError

NAME: Final = "references.tsv"


def read_opened(folder: Path) -> dict[str, date] | None:
    """Address → the day it was opened. UsageError names a line that is not `address, day, where`."""
    path = folder / NAME
    if not path.is_file():
        return None
    opened: dict[str, date] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        try:
            address, day, where = line.split("\t")
            opened[address] = date.fromisoformat(day)
        except ValueError:
            where = ""
        if not where:
            raise UsageError(
                "a line that cannot be read", where=f"{path}:{number}", got=line[:120],
                expected="an address, the day (YYYY-MM-DD) and where it was read, parted by tabs",
            )  # fmt: skip
    return opened


def unopened(
    rules: Sequence[Rule], opened: Mapping[str, date], *, today: date
) -> Iterator[tuple[Rule, str]]:
    """References that are not in the book, or of a day to come."""
    for rule in rules:
        for reference in rule.references:
            if opened.get(reference, date.max) > today:
                yield rule, reference
