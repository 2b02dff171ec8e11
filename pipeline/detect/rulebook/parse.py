"""pySigma's parsed detections become our tree; what cannot run exactly is refused here, by name.

In: the `detection` of a rule (or `filter` of a filter) as a mapping. Out: the tree in Sigma's own
field names. pySigma reads items, modifiers and values; this turns its value types into leaves.
Regular expressions are RE2's (linear time whatever the text): what RE2 cannot take is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from itertools import product
from typing import Any, Final

import sigma.types as st
from sigma.conditions import ConditionAND
from sigma.exceptions import SigmaError
from sigma.rule import SigmaDetection, SigmaDetectionItem

import pipeline.detect.matching.encodings  # noqa: F401 - takes the place of four modifiers of pySigma's
from pipeline.detect.matching.question import like_regex
from pipeline.detect.matching.regex import check_regex
from pipeline.detect.matching.text import fold, nfc
from pipeline.detect.matching.tree import TRUE, Leaf, Node, all_of, any_of, negate
from pipeline.detect.rulebook.condition import read_condition
from pipeline.model.errors import UsageError

MAX_LEAVES: Final = 200_000
MAX_DASHES: Final = 6  # windash writes each dash in five ways: 5 ** 6 forms
MAX_FORMS: Final = 20_000  # of all values of one selection together
_DASH: Final = re.compile(r"\B[-/]\b")
_COMPARE: Final = {
    st.CompareOperators.LT: "lt",
    st.CompareOperators.LTE: "lte",
    st.CompareOperators.GT: "gt",
    st.CompareOperators.GTE: "gte",
}
_FLAGS: Final = {
    st.SigmaRegularExpressionFlag.IGNORECASE: "i",
    st.SigmaRegularExpressionFlag.MULTILINE: "m",
    st.SigmaRegularExpressionFlag.DOTALL: "s",
}
Placeholders = Mapping[str, Sequence[str]]


def read_detections(
    detections: Mapping[str, Any], placeholders: Placeholders, skip: Sequence[str] = ("condition",)
) -> Node:
    """The tree of a `detection` mapping. Raises `UsageError`, whose `where` is the key that it is about."""
    conditions = detections.get("condition")
    if conditions is None:
        raise UsageError("the detection has no condition")
    guard = _Guard()
    named: dict[str, Node] = {}
    faults: dict[str, str] = {}
    for name, definition in detections.items():
        if name in skip:
            continue
        try:
            _refuse_floods(definition)
            detection = SigmaDetection.from_definition(definition)
            named[str(name)] = _detection(detection, placeholders, guard)
        except (SigmaError, UsageError) as error:
            faults[str(name)] = f"{name}: {error}"
    if faults:
        raise UsageError("; ".join(faults.values()), where=next(iter(faults)))
    if not named:
        raise UsageError("the detection names no selection")
    trees = []
    for condition in conditions if isinstance(conditions, list) else [conditions]:
        if not isinstance(condition, str):
            raise UsageError("a condition is not text", where="condition", got=repr(condition))
        try:
            trees.append(read_condition(condition, named))
        except UsageError as error:
            error.where = "condition"
            raise
    return any_of(trees)


class _Guard:
    """Counts leaves, so that one rule cannot take the memory of all."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> None:
        self.count += 1
        if self.count > MAX_LEAVES:
            raise UsageError(f"more than {MAX_LEAVES:,} values in one rule")


def _refuse_floods(definition: Any) -> None:
    """`windash` multiplies: a value with many dashes would become millions before we see it."""
    stack, forms = [definition], 0
    while stack:
        here = stack.pop()
        if isinstance(here, list):
            stack.extend(here)
        elif isinstance(here, dict):
            for key, value in here.items():
                if "|windash" in str(key):
                    for text in value if isinstance(value, list) else [value]:
                        dashes = len(_DASH.findall(str(text)))
                        forms += 5 ** min(dashes, MAX_DASHES)
                        if forms > MAX_FORMS:
                            raise UsageError(f"windash gives more than {MAX_FORMS:,} forms")
                        if dashes > MAX_DASHES:
                            raise UsageError(
                                f"windash on a value with more than {MAX_DASHES} dashes",
                                got=str(text)[:80],
                            )
                else:
                    stack.append(value)


def _detection(detection: SigmaDetection, placeholders: Placeholders, guard: _Guard) -> Node:
    nodes = [
        _item(item, placeholders, guard)
        if isinstance(item, SigmaDetectionItem)
        else _detection(item, placeholders, guard)
        for item in detection.detection_items
    ]
    return all_of(nodes) if detection.item_linking is ConditionAND else any_of(nodes)


def _item(item: SigmaDetectionItem, placeholders: Placeholders, guard: _Guard) -> Node:
    values: Sequence[st.SigmaType] = item.value or [st.SigmaNull()]
    nodes = [_value(item.field, value, placeholders, guard) for value in values]
    tree = all_of(nodes) if item.value_linking is ConditionAND else any_of(nodes)
    return negate(tree) if item.negated else tree


def _value(field: str | None, value: Any, placeholders: Placeholders, guard: _Guard) -> Node:  # noqa: C901, PLR0912
    guard.add()
    if isinstance(value, st.SigmaExpansion):
        return any_of(_value(field, each, placeholders, guard) for each in value.values)
    if isinstance(value, st.SigmaString):
        if value.contains_placeholder():
            return _filled(field, value, placeholders, guard)
        return _text(field, value)
    if isinstance(value, st.SigmaRegularExpression):
        if value.contains_placeholder():
            return _filled(field, value, placeholders, guard)
        flags = "".join(sorted(_FLAGS[flag] for flag in value.flags))
        pattern = (f"(?{flags})" if flags else "") + nfc(_source_of(value.regexp))
        check_regex(pattern)
        return Leaf(field, "re", pattern, cased=True)
    if isinstance(value, st.SigmaTimestampPart):  # before SigmaNumber, of which it is a kind
        leaf = Leaf(field, value.timestamp_part.name.lower(), str(value.number))
    elif isinstance(value, st.SigmaNumber):
        text = str(value.number)
        return Leaf(field, "eq" if field is not None else "contains", text)
    elif isinstance(value, st.SigmaBool):
        text = "true" if value.boolean else "false"
        return Leaf(field, "eq" if field is not None else "contains", text)
    elif isinstance(value, st.SigmaNull):
        leaf = Leaf(field, "null")
    elif isinstance(value, st.SigmaExists):
        leaf = Leaf(field, "exists")
        return leaf if value.exists else negate(leaf)
    elif isinstance(value, st.SigmaCIDRExpression):
        leaf = Leaf(field, "cidr", str(value.network))
    elif isinstance(value, st.SigmaCompareExpression):
        if isinstance(value.number, st.SigmaTimestampPart):
            return _part_range(field, value.number, _COMPARE[value.op])
        leaf = Leaf(field, _COMPARE[value.op], str(value.number.number))
    elif isinstance(value, st.SigmaFieldReference):
        kinds = {(True, True): "contains", (True, False): "startswith", (False, True): "endswith"}
        kind = kinds.get((value.starts_with, value.ends_with), "eq")
        leaf = Leaf(field, f"ref_{kind}", value.field)
    else:
        raise UsageError(f"a value of kind {type(value).__name__} has no meaning over events")
    if field is None:
        raise UsageError("only texts, numbers and regular expressions can be keywords", got=leaf.op)
    return leaf


_PARTS: Final = {
    "minute": range(60), "hour": range(24), "day": range(1, 32), "week": range(1, 54),
    "month": range(1, 13), "year": range(1970, 2101),
}  # fmt: skip


def _part_range(field: str | None, part: st.SigmaTimestampPart, op: str) -> Node:
    """`hour|gte: 22` is one of the hours from 22 on. Years are those from 1970 to 2100."""
    name, bound = part.timestamp_part.name.lower(), part.number
    holds = {"lt": bound.__gt__, "lte": bound.__ge__, "gt": bound.__lt__, "gte": bound.__le__}[op]
    return any_of(Leaf(field, name, str(each)) for each in _PARTS[name] if holds(each))


def _filled(field: str | None, value: Any, placeholders: Placeholders, guard: _Guard) -> Node:
    """A value with `%names%`: any of its fillings; a leaf that cannot run where a name has none.

    A filling is plain text: its wildcards are no wildcards. One that is a network in a value that is
    nothing but the placeholder means its addresses too.
    """
    regex = isinstance(value, st.SigmaRegularExpression)
    pieces = value.regexp.s if regex else value.s
    names = [piece.name for piece in pieces if isinstance(piece, st.Placeholder)]
    missing = [name for name in names if placeholders.get(name) is None]
    if missing:
        return Leaf(field, "unfilled", missing[0])
    nodes: list[Node] = []
    for chosen in product(*(placeholders[name] for name in names)):
        guard.add()
        fillings = iter(chosen)
        filled = [
            next(fillings) if isinstance(piece, st.Placeholder) else piece for piece in pieces
        ]
        if regex:
            nodes.append(_value(field, _regex(value, pieces, chosen), placeholders, guard))
            continue
        text = type(value)()
        text.s = filled
        nodes.append(_text(field, text))
        if len(pieces) == 1 and field is not None and is_network(chosen[0]):
            nodes.append(Leaf(field, "cidr", chosen[0]))
    return any_of(nodes)


def _source_of(regexp: st.SigmaString) -> str:
    """The expression as written; pySigma's own rendering would escape a `*` that we filled in."""
    return "".join(_WILD[p] if isinstance(p, st.SpecialChars) else str(p) for p in regexp.s)


def _regex(
    value: st.SigmaRegularExpression, pieces: Sequence[Any], fillings: Sequence[str]
) -> st.SigmaRegularExpression:
    left = iter(fillings)
    text = "".join(
        piece
        if isinstance(piece, str)
        else re.escape(next(left))
        if isinstance(piece, st.Placeholder)
        else _WILD[piece]
        for piece in pieces
    )
    made = st.SigmaRegularExpression("x", value.flags)
    made.regexp = st.SigmaString()
    made.regexp.s = [text]
    return made


_WILD: Final = {st.SpecialChars.WILDCARD_MULTI: "*", st.SpecialChars.WILDCARD_SINGLE: "?"}


def is_network(text: str) -> bool:
    """Whether a text is a network in the notation of CIDR."""
    if "/" not in text:
        return False
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _text(field: str | None, value: st.SigmaString) -> Node:
    cased = isinstance(value, st.SigmaCasedString)
    parts: list[
        str
    ] = []  # texts and the wildcards "*" and "?" as texts of their own, marked by `wild`
    wild: list[bool] = []
    pieces = value.s if field is not None else (_MANY, *value.s, _MANY)
    for piece in pieces:
        if isinstance(piece, str):
            if not piece:
                continue
            text = nfc(piece) if cased else fold(nfc(piece))
            if "\ud800" <= max(text) <= "\udfff" or any("\ud800" <= c <= "\udfff" for c in text):
                raise UsageError("a value holds half of a character (a lone surrogate)")
            if parts and not wild[-1]:
                parts[-1] += text
                continue
            parts.append(text)
            wild.append(False)
        else:
            mark = "*" if piece is _MANY else "?"
            if mark == "*" and parts and wild[-1] and parts[-1] == "*":
                continue
            parts.append(mark)
            wild.append(True)
    return _pattern(field, parts, wild, cased=cased)


_MANY: Final = st.SpecialChars.WILDCARD_MULTI


def _pattern(field: str | None, parts: list[str], wild: list[bool], *, cased: bool) -> Node:
    shape = "".join(part if is_wild else "t" for part, is_wild in zip(parts, wild, strict=True))
    if shape == "":
        return Leaf(field, "eq", "", cased)
    if shape == "*":
        return Leaf(field, "exists") if field is not None else TRUE
    kind = {"t": "eq", "*t*": "contains", "t*": "startswith", "*t": "endswith"}.get(shape)
    if kind is not None:
        return Leaf(field, kind, parts[shape.index("t")], cased)
    escaped = (
        part if is_wild else re.sub(r"([\\*?])", r"\\\1", part)
        for part, is_wild in zip(parts, wild, strict=True)
    )
    pattern = "".join(escaped)
    check_regex(like_regex(pattern))
    return Leaf(field, "like", pattern, cased)
