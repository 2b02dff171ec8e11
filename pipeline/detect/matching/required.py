"""What a leaf cannot hold without: plain literals that an index can look for.

In: a leaf. Out: a weaker tree of uncased literal leaves (`eq contains startswith endswith`) that holds
whenever the leaf does; `TRUE` if nothing useful is known. Weaker is always right, stronger never.

    Leaf(f, "like", "a*\\\\cmd.exe")       →  f starts with "a" and f ends with "\\\\cmd.exe"
    Leaf(f, "re", "(?i)(foo|bar)\\d+baz")  →  (f contains "foo" or f contains "bar") and f contains "baz"
    Leaf(None, "contains", "sekurlsa::x")  →  the raw record contains "sekurlsa"
"""

from __future__ import annotations

import re
import warnings
from typing import Any, Final

from pipeline.detect.matching.text import fold
from pipeline.detect.matching.tree import FALSE, TRUE, And, Leaf, Node, Or, all_of, any_of

MIN_LITERAL: Final = 3
LITERAL_OPS: Final = frozenset({"eq", "contains", "startswith", "endswith"})
MAX_CHOICES: Final = 64
_PARSER: Any = re._parser  # type: ignore[attr-defined]
_BREAK: Final = re.compile(r"[^ -~]|[\"\\/<>&'`;]")
"""What JSON or XML may write otherwise, or another letter may stand for: keywords are sought in between."""

_NUMBER: Final = re.compile(r"[0-9.e+-]*")  # 1e3 in JSON is the value 1000


def is_plain(character: str) -> bool:
    """Whether a keyword may be sought in raw text by it (what may hide it is in `index.HIDING`)."""
    return _BREAK.fullmatch(character) is None


def required(leaf: Leaf) -> Node:
    """The weaker tree. A keyword's leaves are about the raw text of the record, whatever its case."""
    found = _required(leaf)
    return found if leaf.field is not None else _in_raw_text(found)


def _required(leaf: Leaf) -> Node:
    if leaf.op in LITERAL_OPS:
        return _literal(leaf.field, leaf.op, fold(leaf.arg) if leaf.cased else leaf.arg)
    if leaf.op == "like":
        return _of_wildcards(leaf.field, fold(leaf.arg) if leaf.cased else leaf.arg)
    return _of_regex(leaf.field, leaf.arg) if leaf.op == "re" else TRUE


def _literal(field: str | None, op: str, text: str) -> Node:
    if op != "eq" and len(text) < MIN_LITERAL and text.isascii():
        return TRUE
    return Leaf(field, op, text)


def _of_wildcards(field: str | None, pattern: str) -> Node:
    pieces = re.sub(r"\\([\\*?])|[*?]", lambda m: m[1] or "\0", pattern).split("\0")
    last = len(pieces) - 1
    ops = {0: "startswith", last: "endswith"}
    return all_of(_literal(field, ops.get(n, "contains"), piece) for n, piece in enumerate(pieces))


def _in_raw_text(tree: Node) -> Node:
    """The longest plain piece of each literal: quotes, slashes and the like may be written otherwise."""
    if isinstance(tree, Leaf):
        pieces = (each for each in _BREAK.split(tree.arg) if not _NUMBER.fullmatch(each))
        return _literal(None, "contains", max(pieces, key=len, default=""))
    if isinstance(tree, And | Or):
        parts = (_in_raw_text(child) for child in tree.children)
        return all_of(parts) if isinstance(tree, And) else any_of(parts)
    return tree


def _of_regex(field: str | None, pattern: str) -> Node:
    if re.search(r"\[\[|\[:|\\[QEpPCxzZ0-9]", pattern):  # where RE2 and Python read otherwise
        return TRUE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parsed = _PARSER.parse(pattern)
    except (re.error, Warning, RecursionError, OverflowError):
        return TRUE
    return all_of(Leaf(field, "contains", text) if isinstance(text, str) else text
                  for text in _sequence(field, parsed))  # fmt: skip


def _sequence(field: str | None, parsed: Any) -> list[Any]:
    """What a sequence needs: runs of plain ASCII letters as texts, the rest as trees."""
    found: list[Any] = []
    run = ""

    def close() -> None:
        nonlocal run
        if len(run) >= MIN_LITERAL:
            found.append(fold(run))
        run = ""

    for op, value in parsed:
        name = str(op)
        if name == "LITERAL" and value < 128:
            run += chr(value)
            continue
        if name == "AT":  # a place between characters: the run goes on
            continue
        if name == "SUBPATTERN" and value[0] is None and not (value[1] or value[2]):
            inner = list(value[3])
            if all(str(each) == "LITERAL" and code < 128 for each, code in inner):
                run += "".join(chr(code) for _, code in inner)
                continue
        close()
        if name == "SUBPATTERN":
            found.append(_tree(field, value[3]))
        elif name in {"MAX_REPEAT", "MIN_REPEAT"} and value[0] >= 1:
            found.append(_tree(field, value[2]))
        elif name == "BRANCH" and len(value[1]) <= MAX_CHOICES:
            found.append(any_of(_tree(field, branch) for branch in value[1]))
    close()
    return [each for each in found if each not in (TRUE, FALSE)]


def _tree(field: str | None, parsed: Any) -> Node:
    return all_of(
        Leaf(field, "contains", each) if isinstance(each, str) else each
        for each in _sequence(field, parsed)
    )
