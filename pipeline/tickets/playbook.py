"""A ticket's checklist: the steps that the playbooks of its rules give, once each.

In: texts of rules as they were when they matched. Out: steps with keys, which a ticket's `checks` refer to::

    thapcanh:
      playbook:
        - vi: Hỏi người dùng có đăng nhập từ nước ngoài không
          en: Ask the user whether they signed in from abroad
        - Khóa phiên VPN                       # one text for both languages

A playbook that is none of this gives no steps: a rule's text never breaks a ticket's page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
import yaml

from pipeline.model.ids import content_hash

MAX_STEPS: Final = 40
MAX_STEP: Final = 300
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Step(msgspec.Struct, frozen=True):
    """One thing to do. `key` names its text: the same step of two rules is one."""

    key: str
    vi: str
    en: str


def steps_of(rule_texts: Iterable[str]) -> list[Step]:
    found: dict[str, Step] = {}
    for text in rule_texts:
        for given in _playbook(text):
            vi, en = _texts(given)
            if vi:
                step = Step(content_hash("step", vi)[:16], vi, en)
                found.setdefault(step.key, step)
    return list(found.values())[:MAX_STEPS]


def _playbook(text: str) -> list[Any]:
    if "playbook" not in text:  # most rules have none, and YAML is slow
        return []
    try:
        rule = yaml.load(text, _LOADER)  # noqa: S506 - the safe loader, in C
    except yaml.YAMLError:
        return []
    own = rule.get("thapcanh") if isinstance(rule, Mapping) else None
    steps = own.get("playbook") if isinstance(own, Mapping) else None
    return steps if isinstance(steps, list) else []


def _texts(given: Any) -> tuple[str, str]:
    if isinstance(given, str):
        return given[:MAX_STEP], given[:MAX_STEP]
    if isinstance(given, Mapping):
        vi, en = str(given.get("vi", "")), str(given.get("en", ""))
        return (vi or en)[:MAX_STEP], (en or vi)[:MAX_STEP]
    return "", ""
