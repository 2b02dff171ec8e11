"""Sigma's old aggregations (`| count() by user > 5`) and the correlation that replaces each.

In: a rule as a mapping whose condition holds a `|`. Out: the whole text that says the same today, two
YAML documents, or what of the old form has no counterpart. The rule itself is refused; the text is
what its author is shown.

    condition: selection | count(user) by src_ip >= 10
    timeframe: 5m
becomes
    correlation: {type: value_count, rules: [many_users], group-by: [src_ip], timespan: 5m,
                  condition: {field: user, gte: 10}}
"""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Mapping
from typing import Any, Final

from pipeline.model.errors import UsageError
from pipeline.model.yaml_text import write_yaml

_OLD: Final = re.compile(
    r"(?P<base>[^|]+)\|\s*(?P<what>count|sum|avg|min|max)\s*\(\s*(?P<field>[^)]*?)\s*\)"
    r"(?:\s+by\s+(?P<by>[^<>=]+?))?\s*(?P<op><=|>=|==|<|>|=)\s*(?P<bound>\d+(?:\.\d+)?)\s*"
)
_NEAR: Final = re.compile(r"(?P<base>[^|]+)\|\s*near\b")
_OPS: Final = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte", "=": "eq", "==": "eq"}
_TYPES: Final = {"sum": "value_sum", "avg": "value_avg"}
_SPACE: Final = uuid.UUID("b4c3b9a2-0f55-4d0a-9c57-7a3e6d1f2c80")
_KEPT: Final = ("title", "id", "status", "description", "references", "author", "date", "tags")


def is_aggregation(given: Mapping[str, Any]) -> bool:
    """Whether a condition of the rule has the old form."""
    return bool(_old_condition(given))


def refusal(given: Mapping[str, Any]) -> UsageError:
    """The error for such a rule; its remedy is the text to write instead."""
    condition = _old_condition(given)
    what = "an aggregation in the condition (|) is Sigma's old form"
    found = _OLD.fullmatch(condition.strip())
    if found is None:
        near = _NEAR.match(condition)
        return UsageError(
            what, where="condition", got=condition.strip(),
            remedy="write a rule for each selection and a correlation of type temporal over them"
            if near
            else "write the rule without it and a correlation after it",
        )  # fmt: skip
    if found["what"] in {"min", "max"}:
        return UsageError(
            what, where="condition", got=condition.strip(),
            remedy=f"no correlation has {found['what']}; compare each event: "
            f"{found['field'] or 'field'}|{_OPS[found['op']]}: {found['bound']}",
        )  # fmt: skip
    return UsageError(
        what, where="condition", got=condition.strip(),
        remedy=f"Write this instead, which means the same:\n{replacement(given)}",
    )  # fmt: skip


def replacement(given: Mapping[str, Any]) -> str:
    """The rule and the correlation that together mean the old rule, as YAML."""
    found = _OLD.fullmatch(_old_condition(given).strip())
    if found is None or found["what"] in {"min", "max"}:
        raise UsageError("no correlation says the same", got=_old_condition(given))
    title = str(given.get("title") or "rule")
    name = str(given.get("name") or _name(title))
    detection = {k: v for k, v in given["detection"].items() if k not in {"condition", "timeframe"}}
    rule = {
        "title": f"{title} (each event)",
        "id": _id(given, "rule"),
        "name": name,
        **{key: given[key] for key in ("status", "description", "author", "date") if key in given},
        "logsource": given.get("logsource"),
        "detection": {**detection, "condition": found["base"].strip()},
        "level": "informational",
    }
    condition: dict[str, Any] = {}
    kind = _TYPES.get(found["what"], "value_count" if found["field"] else "event_count")
    if kind != "event_count":
        condition["field"] = found["field"]
    bound = float(found["bound"])
    condition[_OPS[found["op"]]] = int(bound) if bound.is_integer() else bound
    correlation: dict[str, Any] = {"type": kind, "rules": [name]}
    if found["by"]:
        correlation["group-by"] = [field.strip() for field in found["by"].split(",")]
    correlation["timespan"] = str(
        given["detection"].get("timeframe") or given.get("timeframe") or "1h"
    )
    correlation["condition"] = condition
    second = {key: given[key] for key in _KEPT if key in given}
    second |= {"title": title, "id": _id(given, "correlation"), "correlation": correlation}
    second |= {key: given[key] for key in ("falsepositives", "level") if key in given}
    return "---\n".join(_plain(document) for document in (rule, second))


def _old_condition(given: Mapping[str, Any]) -> str:
    detection = given.get("detection")
    conditions = detection.get("condition") if isinstance(detection, dict) else None
    every = conditions if isinstance(conditions, list) else [conditions]
    return next((each for each in every if isinstance(each, str) and "|" in each), "")


def _id(given: Mapping[str, Any], part: str) -> str:
    """The old rule's id stays with the correlation, which is what opens tickets."""
    old = str(given.get("id") or given.get("title"))
    return old if part == "correlation" and given.get("id") else str(uuid.uuid5(_SPACE, old + part))


def _name(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title.replace("đ", "d").replace("Đ", "D"))
    words = re.findall(r"[a-z0-9]+", plain.encode("ascii", "ignore").decode().lower())
    return "_".join(words)[:60] or "rule"


def _plain(document: Mapping[str, Any]) -> str:
    return write_yaml(document, width=110)
