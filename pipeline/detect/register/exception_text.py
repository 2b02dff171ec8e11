"""The text of an exception: a Sigma filter, and the law that it must keep.

    title: Máy quét của trung tâm           # hides what the selection says, of the rules that it names
    id: 3b1f…
    logsource: {product: nginx, service: access}
    filter:
        rules: [a2399074-0af2-4a72-997c-3c08652e4c76]
        selection: {c-ip: 192.0.2.10}
        condition: not selection            # Sigma: what must also hold for the rule to match

The law: it names its rules, which are rules of single events and of its log source; and it hides
something, but not everything: of events with made-up values in every field that it asks for, one at
least stays in sight.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from random import Random
from typing import Any, Final

import msgspec

from pipeline.detect.matching.tree import FALSE, NUMBER_OPS, REF_OPS, TIME_OPS, TRUE, Leaf, leaves
from pipeline.detect.rulebook.rules import Rule, rules_from_texts
from pipeline.detect.rulebook.yaml_strict import read_yaml
from pipeline.model.errors import FaultsError, UsageError
from pipeline.model.yaml_text import write_yaml

PROBES: Final = 64


class Filter(msgspec.Struct, frozen=True):
    """A filter that keeps the law as far as its text tells, and the rules that it names."""

    rule: Rule
    named: tuple[str, ...]
    given: dict[str, Any]


def read_filter(text: str, name: str = "exception") -> Filter:
    """Raises UsageError, or FaultsError with all that pySigma and we refuse."""
    book = rules_from_texts([(name, text)])
    if book.faults:
        raise FaultsError("the exception cannot be read", book.faults)
    if len(book.filters) != 1 or book.rules or book.correlations:
        raise UsageError("an exception is one Sigma filter, and nothing else", where=name)
    (document,) = (d for d in read_yaml(text, name) if d.value is not None)
    given = document.value["filter"]
    named = given.get("rules")
    named = [named] if isinstance(named, str) else named or []
    if not named or any(str(each).lower() == "any" for each in named):
        raise UsageError(
            "an exception names its rules", where=name, got=str(given.get("rules")),
            remedy="write their ids under filter: rules",
        )  # fmt: skip
    found = Filter(book.filters[0], tuple(dict.fromkeys(map(str, named))), given)
    _hides_some(found.rule, name)
    return found


def _hides_some(rule: Rule, name: str) -> None:
    body = rule.body
    if body is None or body == TRUE:
        raise UsageError("the exception hides nothing", where=name)
    hidden = 0 if body != FALSE else PROBES
    if body != FALSE:
        from pipeline.detect.matching.reference import holds

        dice = Random(20261124)  # noqa: S311 - made-up values, no secret
        asked = list(leaves(body))
        hidden = sum(not holds(body, _made_up(asked, dice)) for _ in range(PROBES))
    if hidden == PROBES:
        raise UsageError(
            "the exception hides everything", where=name,
            remedy="say what is to be hidden in a selection, and `condition: not selection`",
        )  # fmt: skip


def _made_up(asked: list[Leaf], dice: Random) -> dict[str, Any]:
    """An event with a value of the right kind in every field that is asked for."""
    row: dict[str, Any] = {"event.original": _word(dice)}
    for leaf in asked:
        for field in (leaf.field, leaf.arg if leaf.op in REF_OPS else None):
            if field is None or field in row:
                continue
            if leaf.op == "cidr":
                row[field] = ".".join(str(dice.randrange(1, 255)) for _ in range(4))
            elif leaf.op in NUMBER_OPS or leaf.op in TIME_OPS:
                row[field] = dice.randrange(-(10**9), 10**9)
            else:
                row[field] = _word(dice)
    return row


def _word(dice: Random) -> str:
    return "".join(dice.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(24))


def write_filter(rule: Rule, where: Mapping[str, str], title: str = "") -> str:
    """The text of an exception that hides the rule's matches with these values (Sigma fields)."""
    if not where:
        raise UsageError("an exception without a condition hides everything", where=rule.id)
    source = {
        key: value
        for key in ("product", "category", "service")
        if (value := getattr(rule.logsource, key))
    }
    document = {
        "title": title or f"Ngoại lệ: {rule.title}"[:110],
        "id": str(uuid.uuid4()),
        "logsource": source,
        "filter": {
            "rules": [rule.id],
            "selection": {field: _plain(value) for field, value in where.items()},
            "condition": "not selection",
        },
    }
    return write_yaml(document, width=1000)


def _plain(value: str) -> str:
    """A value that means itself: Sigma's wildcards and its escape character escaped."""
    return value.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")
