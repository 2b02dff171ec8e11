"""An old aggregation is refused, and the refusal shows the correlation that says the same."""

from __future__ import annotations

import pytest

from pipeline.detect.rulebook.rules import rules_from_texts

RULE = """title: Nhiều lần sai mật khẩu
id: a0000000-0000-4000-8000-000000000001
status: test
description: Many refusals.
author: An
date: 2026-01-01
logsource: {product: linux, service: sshd}
detection:
    selection:
        outcome: failure
    timeframe: 5m
    condition: CONDITION
level: high
"""


def refused(condition: str) -> str:
    book = rules_from_texts([("old.yml", RULE.replace("CONDITION", condition))])
    (fault,) = book.faults
    assert fault.where == "old.yml:12"
    assert "Sigma's old form" in fault.what
    assert condition in fault.got
    return fault.remedy


@pytest.mark.parametrize(
    ("condition", "kind", "wanted"),
    [
        ("selection | count() > 10", "event_count", "gt: 10"),
        ("selection | count() by src_ip >= 3", "event_count", "group-by:\n  - src_ip"),
        ("selection | count(user) by src_ip, host > 5", "value_count", "field: user"),
        ("selection | sum(bytes) by user > 1000000", "value_sum", "gt: 1000000"),
        ("selection | avg(bytes) < 2.5", "value_avg", "lt: 2.5"),
        ("selection | count() = 0", "event_count", "eq: 0"),
    ],
)
def test_the_remedy_is_a_rule_and_a_correlation_that_can_be_read(
    condition: str, kind: str, wanted: str
) -> None:
    text = refused(condition).split("\n", 1)[1]
    assert f"type: {kind}" in text
    assert wanted in text
    book = rules_from_texts([("new.yml", text)])
    assert (book.faults, len(book.rules), len(book.correlations)) == ((), 1, 1)
    (rule,), (correlation,) = book.rules, book.correlations
    assert (rule.level.value, correlation.level.value) == ("informational", "high")
    assert correlation.id == "a0000000-0000-4000-8000-000000000001"
    assert "timespan: 5m" in text


def test_what_has_no_correlation_says_what_to_do_instead() -> None:
    assert "size|gt: 5" in refused("selection | max(size) > 5")
    assert "temporal" in refused("selection | near other")
    assert "correlation after it" in refused("selection | something odd")
