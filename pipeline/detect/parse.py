"""pySigma's parsed detections become our tree; what cannot run exactly is refused here, by name.

In: the `detection` of a rule (or `filter` of a filter) as a mapping. Out: the tree in Sigma's own
field names. pySigma reads items, modifiers and values; this turns its value types into leaves.
Regular expressions are RE2's (linear time whatever the text): what RE2 cannot take is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import sigma.types as st
from sigma.conditions import ConditionAND
from sigma.exceptions import SigmaError
from sigma.rule import SigmaDetection, SigmaDetectionItem

from pipeline.detect.condition import read_condition
from pipeline.detect.regex import check_regex
from pipeline.detect.text import fold, nfc
from pipeline.detect.tree import TRUE, Leaf, Node, all_of, any_of, negate
from pipeline.model.errors import UsageError

MAX_LEAVES: Final = 200_000
MAX_DASHES: Final = 6  # windash writes each dash in five ways: 5 ** 6 forms
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
    """The tree of a `detection` mapping. Raises `UsageError` or pySigma's `SigmaError`."""
    conditions = detections.get("condition")
    if conditions is None:
        raise UsageError("the detection has no condition")
    guard = _Guard()
    named: dict[str, Node] = {}
    for name, definition in detections.items():
        if name in skip:
            continue
        _refuse_floods(definition)
        try:
            detection = SigmaDetection.from_definition(definition)
            named[str(name)] = _detection(detection, placeholders, guard)
        except (SigmaError, UsageError) as error:
            raise UsageError(f"{name}: {error}") from None
    if not named:
        raise UsageError("the detection names no selection")
    trees = []
    for condition in conditions if isinstance(conditions, list) else [conditions]:
        if not isinstance(condition, str):
            raise UsageError("a condition is not text", got=repr(condition))
        trees.append(read_condition(condition, named))
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
    stack = [definition]
    while stack:
        here = stack.pop()
        if isinstance(here, list):
            stack.extend(here)
        elif isinstance(here, dict):
            for key, value in here.items():
                if "|windash" in str(key):
                    for text in value if isinstance(value, list) else [value]:
                        if len(_DASH.findall(str(text))) > MAX_DASHES:
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
        pattern = (f"(?{flags})" if flags else "") + nfc(str(value.regexp))
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


def _filled(field: str | None, value: Any, placeholders: Placeholders, guard: _Guard) -> Node:
    """A value with `%names%`: any of its fillings; a leaf that cannot run where a name has none."""
    missing: list[str] = []

    def fill(placeholder: st.Placeholder) -> Iterator[str]:
        texts = placeholders.get(placeholder.name)
        if texts is None:
            missing.append(placeholder.name)
            yield ""
        for text in texts or ():
            guard.add()
            yield re.escape(text) if isinstance(value, st.SigmaRegularExpression) else text

    filled = value.replace_placeholders(fill)
    if missing:
        return Leaf(field, "unfilled", missing[0])
    return any_of(_value(field, each, placeholders, guard) for each in filled)


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
    return Leaf(field, "like", "".join(escaped), cased)
