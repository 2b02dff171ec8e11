"""Rule files in, rules out: parsed by pySigma, all faults of the set reported together.

    book = load_rules([Path("rules/")])
    for fault in book.faults: print(fault)          # each with file, line and what to do
    book.rules[0].title, book.rules[0].body         # the tree, in Sigma's own field names

Three kinds are told apart: `rule` (one event), `correlation` (several) and `filter` (joined to the
rules it names, which then have its text in their revision). A rule's `revision` is a content hash:
the same text and filters give the same revision in every process.

    title: Whoami Execution                         thapcanh:
    id: e28a5a99-da44-436d-b7a0-2afc20a5f413            quiet: 30m     # of an episode; default 1 h
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from pipeline.detect.matching.tree import Node
from pipeline.model.detections import Level
from pipeline.model.errors import ThapCanhError, UsageError

DEFAULT_QUIET: Final = 3600
Kind = Literal["rule", "correlation", "filter"]


class LogSource(msgspec.Struct, frozen=True):
    """What kind of log a rule reads, in Sigma's words; empty where the rule does not say."""

    product: str = ""
    category: str = ""
    service: str = ""

    def __str__(self) -> str:
        named = (("product", self.product), ("category", self.category), ("service", self.service))
        return ", ".join(f"{key} {value}" for key, value in named if value) or "none"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule as written. `body` is None for a correlation; `quiet` is in seconds; `line` from 1."""

    id: str
    title: str
    kind: Kind = "rule"
    name: str = ""
    level: Level = Level.MEDIUM
    status: str = "experimental"
    revision: str = ""
    logsource: LogSource = LogSource()
    path: str = ""
    line: int = 1
    text: str = ""
    quiet: int = DEFAULT_QUIET
    tags: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    falsepositives: tuple[str, ...] = ()
    description: str = ""
    author: str = ""
    date: str = ""
    modified: str = ""
    fields: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    body: Node | None = None


class RuleBook(msgspec.Struct, frozen=True):
    """A set of rules. `faults` holds everything that was refused; the rest stands and can run."""

    rules: tuple[Rule, ...] = ()
    correlations: tuple[Rule, ...] = ()
    filters: tuple[Rule, ...] = ()
    faults: tuple[ThapCanhError, ...] = ()
    skipped: tuple[str, ...] = ()  # YAML files of a folder that hold no rule

    def get(self, rule_id: str) -> Rule | None:
        every = (*self.rules, *self.correlations, *self.filters)
        return next((rule for rule in every if rule.id == rule_id), None)


def load_rules(
    paths: Sequence[Path],
    *,
    placeholders: Mapping[str, Sequence[str]] | None = None,
    cache: Path | None = None,
) -> RuleBook:
    """The rules of files and folders (`*.yml`, `*.yaml`, in order of path).

    A path that does not exist is a fault like any other. `placeholders` gives `%name%` its values.
    `cache` is a folder in which the parsed set is kept by its content.
    """
    texts, faults = read_texts(paths)
    book = rules_from_texts(texts, placeholders=placeholders, cache=cache)
    return msgspec.structs.replace(book, faults=(*faults, *book.faults)) if faults else book


def rules_from_texts(
    texts: Iterable[tuple[str, str]],
    *,
    placeholders: Mapping[str, Sequence[str]] | None = None,
    cache: Path | None = None,
) -> RuleBook:
    """The rules of `(name, text)` pairs; `name` is a path or whatever names the text in messages."""
    from pipeline.detect.rulebook.cache import cached_book

    return cached_book(list(texts), dict(placeholders or {}), cache)


def read_texts(paths: Sequence[Path]) -> tuple[list[tuple[str, str]], list[ThapCanhError]]:
    """Every rule file's name and text, and what could not be read."""
    texts: list[tuple[str, str]] = []
    faults: list[ThapCanhError] = []
    for path in paths:
        if path.is_dir():
            files = sorted(
                each for each in path.rglob("*.y*ml") if each.suffix in {".yml", ".yaml"}
            )
        elif path.exists():
            files = [path]
        else:
            faults.append(UsageError("no such rule file or folder", where=str(path)))
            continue
        for file in files:
            try:
                texts.append((str(file), file.read_text("utf-8")))
            except UnicodeDecodeError:
                faults.append(UsageError("the file is not UTF-8 text", where=str(file)))
            except OSError as error:
                faults.append(UsageError(f"cannot be read: {error.strerror}", where=str(file)))
    return texts, faults
