"""Backtests: what a rule, a draft or an exception would have done over what is stored."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.detecting import FAILED_LOGON, FAILED_LOGON_TEXT, ColumnStore, failed_logon
from support.people import analyst, officer

from pipeline.detect.jobs import backtest
from pipeline.detect.jobs.backtest import backtest_exception, backtest_rule
from pipeline.detect.register.exceptions import Proposal, propose
from pipeline.detect.register.rules import import_rules
from pipeline.model.clock import EPOCH
from pipeline.model.errors import NotFoundError, ThapCanhError, UsageError
from pipeline.model.scope import OPERATOR
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingRow, Run

NOW = EPOCH + timedelta(days=40)
SINCE = NOW - timedelta(days=30)
RULE = FAILED_LOGON
FAILED = FAILED_LOGON_TEXT
BURST = """title: Three failures
id: b0000000-0000-4000-8000-000000000000
status: test
level: high
correlation:
    type: event_count
    rules: [failed]
    generate: true
    group-by: [IpAddress]
    timespan: 10m
    condition: {gte: 3}
"""
DAY = 86_400


@pytest.fixture(autouse=True)
def rules(state: State, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(f"{FAILED}---\n{BURST}", "utf-8")
    import_rules(state, OPERATOR, [tmp_path / "rules.yml"], origin="ours", now=NOW)


def seen(
    n: int,
    day: int,
    ip: str = "10.0.0.9",
    *,
    agency: str = "ward-1",
    minute: int = 0,
    code: str = "4625",
) -> dict[str, Any]:
    return failed_logon(n, day * DAY + minute * 60, ip, agency=agency, code=code)


STORE = ColumnStore(
    [
        seen(1, 5),  # older than asked for
        seen(2, 20),
        seen(3, 20, minute=5),
        seen(4, 20, "10.0.0.8", agency="ward-2", minute=6),
        seen(5, 20, minute=7),
        seen(6, 30, minute=1),
        seen(7, 30, code="4624"),
        seen(8, 30, code="4740"),
    ]
)


def test_a_rule_is_told_by_day_agency_and_entity_without_a_finding(state: State) -> None:
    found = backtest_rule(state, STORE, OPERATOR, RULE, since=SINCE, now=NOW)
    assert (found.events, found.now.matches, found.title, found.level) == (
        7,
        5,
        "Failed logon",
        "medium",
    )
    assert found.now.days == {
        "1970-01-21": {"ward-1": 3, "ward-2": 1},
        "1970-01-31": {"ward-1": 1},
    }
    assert found.now.values == {"event.code": [("4625", 5)]}
    assert found.now.findings == 3
    assert found.against is None
    with state.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(FindingRow)) == 0
        assert session.scalar(sa.select(sa.func.count()).select_from(Run)) == 0


def test_a_draft_is_compared_with_what_runs(state: State) -> None:
    draft = FAILED.replace("EventID: 4625", "EventID: [4740, 4625], IpAddress: 10.0.0.9")
    found = backtest_rule(state, STORE, OPERATOR, "", draft=draft, since=SINCE, now=NOW)
    assert (found.only_now, found.only_then, found.both) == (1, 1, 4)
    assert found.against is not None
    assert (found.now.matches, found.against.matches) == (5, 5)


def test_a_correlation_is_played_with_the_rules_that_it_counts(state: State) -> None:
    found = backtest_rule(
        state, STORE, OPERATOR, "b0000000-0000-4000-8000-000000000000", since=SINCE, now=NOW
    )
    assert (found.now.matches, found.now.findings) == (3, 1)
    assert found.now.entities == [("ward-1", "10.0.0.9", 3)]
    draft = BURST.replace("gte: 3", "gte: 1")
    found = backtest_rule(state, STORE, OPERATOR, "", draft=draft, since=SINCE, now=NOW)
    assert (found.now.matches, found.only_now, found.both) == (5, 2, 3)


def test_an_exception_is_told_by_what_it_takes_out_of_sight(state: State) -> None:
    text = (
        "title: Máy quét\nid: e0000000-0000-4000-8000-000000000000\n"
        "logsource: {product: windows, service: security}\n"
        f"filter: {{rules: [{RULE}], selection: {{IpAddress: 10.0.0.8}}, condition: not selection}}\n"
    )
    proposal = Proposal(text=text, owner="lan", reason="x", expires=NOW + timedelta(days=1))
    id_ = propose(state, OPERATOR, proposal, now=NOW)
    found = backtest_exception(state, STORE, OPERATOR, id_, since=SINCE, now=NOW)
    assert (found.now.hidden, found.now.matches, found.only_then, found.subject) == (1, 4, 1, id_)


def test_pieces_are_read_backwards_until_they_are_too_old(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtest, "PIECE", 2)
    store, told = ColumnStore(STORE.rows), list[tuple[int, int]]()
    since: datetime = EPOCH + timedelta(days=25)
    found = backtest_rule(
        state, store, OPERATOR, RULE, since=since, now=NOW, progress=lambda *at: told.append(at)
    )
    assert (found.now.matches, store.scans, told[-1]) == (1, 3, (8, 8))


def test_an_officer_plays_over_the_own_agency_alone(state: State) -> None:
    found = backtest_rule(state, STORE, officer("o", "ward-2"), RULE, since=SINCE, now=NOW)
    assert found.now.days == {"1970-01-21": {"ward-2": 1}}


def test_what_is_not_there_or_cannot_fire_says_so(state: State) -> None:
    with pytest.raises(NotFoundError):
        backtest_rule(state, STORE, analyst(), "gone", since=SINCE, now=NOW)
    odd = FAILED.replace("product: windows, service: security", "product: nothing_sends_this")
    with pytest.raises(UsageError, match="cannot fire"):
        backtest_rule(state, STORE, analyst(), "", draft=odd, since=SINCE, now=NOW)
    with pytest.raises(ThapCanhError):
        backtest_rule(state, STORE, analyst(), "", draft="title: x", since=SINCE, now=NOW)
