"""Sigma's condition line, read without pyparsing's appetite.

In: `selection and not 1 of filter_*` and what each named detection means. Out: one tree. The
grammar is pySigma's (a test compares the two over all of SigmaHQ); pySigma's own parser takes
exponential time over nested brackets, this one reads left to right and refuses past a depth.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from pipeline.detect.matching.tree import Node, all_of, any_of, negate
from pipeline.model.errors import UsageError

MAX_DEPTH: Final = 100
MAX_OPERANDS: Final = 200_000  # with what quantifiers stand for
_TOKEN: Final = re.compile(r"\s*(?:(\(|\))|([A-Za-z0-9_*-]+)|(\S))")
_QUANTIFIERS: Final = {"1": any_of, "any": any_of, "all": all_of}


def read_condition(condition: str, detections: Mapping[str, Node]) -> Node:
    """The tree of one condition. Raises `UsageError` naming what cannot be read."""
    if "|" in condition:  # `aggregation.refusal` has the words for a whole rule
        raise UsageError(
            "a condition with an aggregation (|) is Sigma's old form", got=condition.strip()
        )
    tokens = []
    for bracket, word, other in _TOKEN.findall(condition):
        if other:
            raise UsageError(f"the condition holds {other!r}", got=condition.strip()[:200])
        tokens.append(bracket or word)
    reader = _Reader(tokens, condition, detections)
    tree = reader.any_of_all(0)
    if reader.here is not None:
        raise reader.odd("the condition goes on after its end")
    return tree


def matching(pattern: str, names: Mapping[str, Node]) -> list[str]:
    """The detections that `1 of pattern` means; `them` is all that do not begin with `_`."""
    if pattern == "them":
        return [name for name in names if not name.startswith("_")]
    return [
        name
        for name in names
        if _fits(pattern.split("*"), name) and (pattern.startswith("_") or not name.startswith("_"))
    ]


def _fits(pieces: list[str], name: str) -> bool:
    """Whether `name` is the pieces with anything between them; linear, unlike a regular expression."""
    if len(pieces) == 1:
        return name == pieces[0]
    first, *middle, last = pieces
    if not name.startswith(first) or not name.endswith(last) or len(name) < len(first) + len(last):
        return False
    at, end = len(first), len(name) - len(last)
    for piece in middle:
        found = name.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


class _Reader:
    def __init__(self, tokens: list[str], condition: str, detections: Mapping[str, Node]) -> None:
        self._tokens, self._condition, self._detections = tokens, condition, detections
        self._at = self._operands = 0

    @property
    def here(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def odd(self, what: str) -> UsageError:
        got = "the end" if self.here is None else repr(self.here)
        return UsageError(f"{what}: {self._condition.strip()[:200]}", got=got)

    def _take(self, word: str) -> bool:
        if self.here != word:
            return False
        self._at += 1
        return True

    def any_of_all(self, depth: int) -> Node:
        parts = [self._all_of_operands(depth)]
        while self._take("or"):
            parts.append(self._all_of_operands(depth))
        return any_of(parts)

    def _all_of_operands(self, depth: int) -> Node:
        parts = [self._operand(depth)]
        while self._take("and"):
            parts.append(self._operand(depth))
        return all_of(parts)

    def _operand(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise UsageError(f"the condition is nested deeper than {MAX_DEPTH}")
        if self._take("not"):
            return negate(self._operand(depth + 1))
        if self._take("("):
            tree = self.any_of_all(depth + 1)
            if not self._take(")"):
                raise self.odd("a bracket of the condition is not closed")
            return tree
        word = self.here
        if word is None or word in {")", "and", "or"}:
            raise self.odd("the condition lacks an operand")
        self._at += 1
        if self.here == "of":
            return self._selector(word)
        self._count(1)
        if word not in self._detections:
            raise UsageError(f"the condition names {word}, which the rule does not define")
        return self._detections[word]

    def _selector(self, quantifier: str) -> Node:
        self._at += 1
        link = _QUANTIFIERS.get(quantifier)
        if link is None:
            raise UsageError(
                f"the condition says {quantifier} of", expected="1 of, any of or all of"
            )
        pattern = self.here
        if pattern is None or pattern in {"(", ")"}:
            raise self.odd("the condition lacks a name after 'of'")
        self._at += 1
        names = matching(pattern, self._detections)
        if not names:
            raise UsageError(
                f"the condition says {quantifier} of {pattern}, but no selection is so named"
            )
        self._count(len(names))
        return link(self._detections[name] for name in names)

    def _count(self, operands: int) -> None:
        self._operands += operands
        if self._operands > MAX_OPERANDS:
            raise UsageError(f"the condition stands for more than {MAX_OPERANDS:,} operands")
