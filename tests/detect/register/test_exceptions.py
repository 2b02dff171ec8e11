"""Exceptions: their law, their life, and what they hide, counted once and within scopes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.detecting import FAILED_LOGON, FAILED_LOGON_TEXT, ColumnStore, failed_logon
from support.people import AUDITOR, analyst, officer

from pipeline.detect.register.exception_text import read_filter, write_filter
from pipeline.detect.register.exceptions import (
    Proposal,
    approve,
    end,
    keep_backtest,
    list_exceptions,
    propose,
    show_exception,
)
from pipeline.detect.register.hiding import empty_samples
from pipeline.detect.register.rules import import_rules
from pipeline.detect.rulebook.rules import rules_from_texts
from pipeline.detect.running.active import ActiveRules
from pipeline.detect.running.runs import Limits, backfill, run_once
from pipeline.model.clock import EPOCH
from pipeline.model.detections import Window
from pipeline.model.errors import (
    ConflictError,
    FaultsError,
    ForbiddenError,
    NotFoundError,
    UsageError,
)
from pipeline.model.scope import OPERATOR, Actor, Scope
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingEvent, HiddenMatch, Run
from pipeline.state.tables.lake import Hold
from pipeline.state.tables.rules import ExceptionRow

NOW = EPOCH + timedelta(days=1)
RULE = FAILED_LOGON
RULES = f"""{FAILED_LOGON_TEXT}---
title: Password spray
id: b0000000-0000-4000-8000-000000000000
status: test
level: high
correlation:
    type: event_count
    rules: [failed]
    generate: true
    group-by: [IpAddress]
    timespan: 10m
    condition: {{gte: 3}}
"""
LAN, BINH = analyst("lan"), analyst("binh")


@pytest.fixture
def rules(state: State, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(RULES, "utf-8")
    import_rules(state, OPERATOR, [tmp_path / "rules.yml"], origin="ours", now=NOW)


def text(selection: str = "{IpAddress: 10.0.0.9}", **more: str) -> str:
    given = {
        "rules": f"[{RULE}]", "source": "{product: windows, service: security}",
        "condition": "not selection", "id": "e0000000-0000-4000-8000-000000000000",
    } | more  # fmt: skip
    return (
        f"title: Máy quét của trung tâm\nid: {given['id']}\nlogsource: {given['source']}\n"
        f"filter:\n  rules: {given['rules']}\n  selection: {selection}\n"
        f"  condition: {given['condition']}\n"
    )


TESTED = {"now": {"hidden": 1}, "against": {"matches": 1}}


def wanted(**more: Any) -> Proposal:
    given = {
        "text": text(), "owner": "lan", "reason": "máy quét lỗ hổng", "expires": NOW + timedelta(days=30),
    }  # fmt: skip
    return Proposal(**given | more)


def in_force(state: State, *, now: datetime = NOW, **more: Any) -> str:
    id_ = propose(state, LAN, wanted(**more), now=now)
    approve(state, BINH, id_, now=now, backtest=TESTED)
    return id_


def seen(
    n: int, ip: str = "10.0.0.9", *, received: datetime = NOW, agency: str = "ward-1"
) -> dict[str, Any]:
    return failed_logon(n, n * 60, ip, received=received, agency=agency)


def run(state: State, rows: Sequence[dict[str, Any]], **limits: int) -> ColumnStore:
    store = ColumnStore(rows)
    active = ActiveRules(state, clock=lambda: NOW)("main")
    while result := run_once(
        state, store, active, holder="w", limits=Limits(**limits), clock=lambda: NOW
    ):
        assert result.error == ""
    return store


def matched(state: State) -> list[tuple[str, int]]:
    with state.read() as session:
        return [
            (row.rule[0], int.from_bytes(row.event[8:]))
            for row in session.scalars(
                sa.select(FindingEvent).order_by(FindingEvent.rule, FindingEvent.event)
            )
        ]


def hidden(state: State) -> list[int]:
    with state.read() as session:
        events = session.scalars(sa.select(HiddenMatch.event).order_by(HiddenMatch.event))
        return [int.from_bytes(each[8:]) for each in events]


@pytest.mark.usefixtures("rules")
def test_what_an_exception_hides_is_no_match_counts_for_no_correlation_and_is_told(
    state: State,
) -> None:
    id_ = in_force(state)
    run(state, [seen(1), seen(2), seen(3), seen(4, "10.0.0.8")], window=2)
    assert matched(state) == [("a", 4)]
    shown = show_exception(state, AUDITOR, id_, now=NOW)
    assert (shown["hidden"], shown["standing"], shown["owner"], shown["approved_by"]) == (
        3, "in force", "lan", BINH.name,
    )  # fmt: skip
    assert [s["fields"] for s in shown["samples"]] == [{"event.code": "4625"}] * 3
    assert shown["hidden_by_agency"] == {"ward-1": 3}


@pytest.mark.usefixtures("rules")
def test_it_speaks_of_what_is_received_between_its_approval_and_its_date(state: State) -> None:
    in_force(state, expires=NOW + timedelta(hours=1))
    second = timedelta(seconds=1)
    store = run(
        state,
        [
            seen(1, received=NOW - second),
            seen(2, received=NOW),
            seen(3, received=NOW + timedelta(hours=1) - second),
            seen(4, received=NOW + timedelta(hours=1)),
        ],
    )
    assert (matched(state), hidden(state)) == ([("a", 1), ("a", 4)], [2, 3])
    backfill(
        state,
        store,
        ActiveRules(state, clock=lambda: NOW)("main"),
        Window({"n": (0, 4)}),
        clock=lambda: NOW,
    )
    assert (matched(state), hidden(state)) == ([("a", 1), ("a", 4)], [2, 3])


@pytest.mark.usefixtures("rules")
def test_one_that_is_ended_stops_at_that_moment(state: State) -> None:
    id_ = in_force(state)
    end(state, BINH, id_, reason="máy quét đã gỡ", now=NOW + timedelta(hours=1))
    run(state, [seen(1), seen(2, received=NOW + timedelta(hours=1))])
    assert (matched(state), hidden(state)) == ([("a", 2)], [1])
    (line,) = list_exceptions(state, AUDITOR, now=NOW + timedelta(hours=2))
    assert (line.standing, line.hidden) == ("ended", 1)


@pytest.mark.usefixtures("rules")
def test_it_hides_in_its_agencies_alone_and_each_sees_their_own(state: State) -> None:
    id_ = in_force(state, agencies=("ward-1", "ward-2"))
    run(state, [seen(1), seen(2, agency="ward-2"), seen(3, agency="ward-3")])
    assert (matched(state), hidden(state)) == ([("a", 3)], [1, 2])
    mine = show_exception(state, officer("o", "ward-1"), id_, now=NOW)
    assert (mine["hidden"], mine["agencies"], mine["hidden_by_agency"]) == (
        1, ("ward-1",), {"ward-1": 1},
    )  # fmt: skip
    assert (mine["text"], mine["title"], mine["reason"]) == (
        "",
        "",
        "",
    )  # they may name the other's
    both = show_exception(state, officer("o", "ward-1", "ward-2"), id_, now=NOW)
    assert (both["text"], both["hidden"], both["backtest"]) == (text(), 2, {})
    with pytest.raises(NotFoundError):
        show_exception(state, officer("o", "ward-3"), id_, now=NOW)
    assert list_exceptions(state, officer("o", "ward-3"), now=NOW) == []


@pytest.mark.usefixtures("rules")
def test_an_exception_changes_the_rule_set_and_not_the_revision_of_the_rule(state: State) -> None:
    rules = ActiveRules(state, clock=lambda: NOW)
    before = rules("main")
    in_force(state)
    after = rules("main")
    assert before.ruleset != after.ruleset
    assert before.facts == after.facts


@pytest.mark.usefixtures("rules")
def test_nobody_approves_their_own_and_a_proposal_hides_nothing(state: State) -> None:
    id_ = propose(state, LAN, wanted(owner="phong"), now=NOW)
    run(state, [seen(1)])
    assert matched(state) == [("a", 1)]
    for actor in (LAN, analyst("phong")):
        with pytest.raises(ForbiddenError):
            approve(state, actor, id_, now=NOW)
    for actor in (AUDITOR, officer("o", "ward-1")):
        with pytest.raises(ForbiddenError):
            approve(state, actor, id_, now=NOW)
    with pytest.raises(UsageError, match="without a backtest"):
        approve(state, BINH, id_, now=NOW)
    assert matched(state) == [("a", 1)]
    keep_backtest(state, LAN, id_, TESTED)
    approve(state, BINH, id_, now=NOW)
    with pytest.raises(ConflictError):
        approve(state, BINH, id_, now=NOW)


@pytest.mark.usefixtures("rules")
def test_who_sees_some_agencies_makes_none_for_all(state: State) -> None:
    held = Actor("person", "hoa", "analyst", Scope.of("ward-1"))
    with pytest.raises(ForbiddenError):
        propose(state, held, wanted(), now=NOW)
    with pytest.raises(NotFoundError):
        propose(state, held, wanted(agencies=("ward-2",)), now=NOW)
    propose(state, held, wanted(agencies=("ward-1",)), now=NOW)


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"expires": NOW}, "ends at a date"),
        ({"expires": NOW + timedelta(days=400)}, "ends at a date"),
        ({"owner": " "}, "owner"),
        ({"reason": ""}, "reason"),
        ({"text": text(rules="any")}, "names its rules"),
        ({"text": text(rules="[gone]")}, "no such rule"),
        ({"text": text(rules="[b0000000-0000-4000-8000-000000000000]")}, "of a correlation"),
        ({"text": text(source="{product: linux}")}, "another log source"),
        ({"text": text("{IpAddress: '*'}")}, "hides everything"),
        ({"text": text("{IpAddress|contains: ''}")}, "hides everything|cannot be read"),
        ({"text": text("{IpAddress|cidr: 0.0.0.0/0}")}, "hides everything"),
        ({"text": text(condition="selection")}, "hides everything"),
        ({"text": RULES}, "one Sigma filter"),
    ],
)
def test_the_law_is_kept(state: State, more: dict[str, Any], why: str) -> None:
    with pytest.raises((UsageError, NotFoundError, FaultsError), match=why):
        propose(state, LAN, wanted(**more), now=NOW)


def test_a_filter_written_from_values_means_them_as_they_are() -> None:
    rule = rules_from_texts([("r.yml", RULES)]).rules[0]
    made = write_filter(rule, {"TargetUserName": "C:\\a*b?", "IpAddress": "10.0.0.9"})
    read = read_filter(made)
    assert read.named == (RULE,)
    from pipeline.detect.matching.reference import holds

    body = read.rule.body
    assert body is not None
    same = {"TargetUserName": "c:\\A*B?", "IpAddress": "10.0.0.9"}
    assert not holds(body, same)
    assert holds(body, same | {"TargetUserName": "c:\\aXbY"})
    assert holds(body, same | {"IpAddress": "10.0.0.8"})


def test_of_what_is_past_its_agency_s_retention_no_value_is_kept_but_the_count_is(
    state: State,
) -> None:
    def run(name: str, started: datetime) -> Run:
        return Run(id=name, schedule="main", kind="scheduled", ruleset="s", window={}, status="done",
                   started=started, ended=started)  # fmt: skip

    rows = [  # event's time, run, agency
        (1, "new", "ward-1"),  # old
        (300, "new", "ward-1"),
        (300, "old", "ward-1"),  # of the future, when it came
        (2, "old", "ward-2"),
        (3, "old", "ward-1"),  # held
    ]
    with state.begin() as session:
        session.add_all([run("old", NOW), run("new", NOW + timedelta(days=200))])
        session.add(
            ExceptionRow(
                id="x", title="", rules=["r"], text="", owner="", reason="", agencies=[],
                proposed=NOW, proposed_by="", expires=NOW, approved=None, ended=None,
            )
        )  # fmt: skip
        session.add(
            Hold(
                id="h", agency="ward-1", first_time=NOW + timedelta(days=3),
                last_time=NOW + timedelta(days=3), reason="r", by="b", at=NOW,
            )
        )  # fmt: skip
        session.flush()
        session.add_all(
            HiddenMatch(
                exception="x", rule="r", event=bytes([n]), agency=agency, entity="pc",
                time=NOW + timedelta(days=day), fields={"user": "an"}, run=run_,
            )
            for n, (day, run_, agency) in enumerate(rows)
        )  # fmt: skip
    before = NOW + timedelta(days=100)
    assert [empty_samples(state, "ward-1", before, most=1) for _ in range(3)] == [1, 1, 0]
    with state.read() as session:
        left = session.scalars(sa.select(HiddenMatch).order_by(HiddenMatch.event)).all()
        assert [(m.entity, m.fields) for m in left] == [
            ("pc", {"user": "an"}) if n in (1, 3, 4) else ("", {}) for n in range(5)
        ]
