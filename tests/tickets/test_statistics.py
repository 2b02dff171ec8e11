"""The queue in figures, held to what was done by hand; drills and duplicates count for nothing."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from support.findings import NOW, Given, put
from support.people import AUDITOR, analyst, officer

from pipeline.model.clock import EPOCH
from pipeline.model.errors import UsageError
from pipeline.state.state import State
from pipeline.state.tables.register import Agency
from pipeline.tickets import facts, life
from pipeline.tickets.deeds import Request
from pipeline.tickets.grouping import tickets_once
from pipeline.tickets.statistics import figures, share

AN = analyst()


@pytest.fixture(autouse=True)
def worked(state: State) -> None:
    """Ten tickets an hour apart: #1–#6 ward-1, #7 and #8 ward-2, #9 a drill's, #10 a duplicate of #1."""
    with state.begin() as session:
        session.add(Agency(id="d", name_vi="d", name_en="d", drill=True, valid_from=EPOCH))
    agencies = ["ward-1"] * 6 + ["ward-2"] * 2 + ["d", "ward-1"]
    for n, agency in enumerate(agencies, 1):
        rule = "r2" if agency == "ward-2" else "r1"
        put(state, Given(f"f{n}", rule=rule, agency=agency, entity=f"pc-{n}", count=n))
        tickets_once(state, now=NOW + timedelta(hours=n))
    facts.merge(state, by(10), into="1", note="", now=NOW + timedelta(hours=10))
    reasons = [
        "true_positive_impact",
        "true_positive_no_impact",
        "false_positive_logic",
        "duplicate",
    ]
    for n, reason in enumerate(reasons, 1):
        opened = NOW + timedelta(hours=n)
        life.claim(state, by(n), now=opened + timedelta(minutes=10 * n))
        life.close(state, by(n), reason=reason, note="x", now=opened + timedelta(hours=n))
    life.close(state, by(9), reason="true_positive_impact", note="x", now=NOW + timedelta(hours=9))


def by(number: int) -> Request:
    return Request(actor=AN, ticket=str(number))


def test_times_backlog_and_loads_are_what_was_done(state: State) -> None:
    now = NOW + timedelta(days=2)
    found = figures(state, AN, days=7, now=now)
    high = next(t for t in found.times if t.severity == "high")
    assert (high.tickets, high.claimed, high.closed) == (8, 4, 4)
    assert (high.claim_median, high.claim_p90) == (timedelta(minutes=20), timedelta(minutes=40))
    assert (high.close_median, high.close_p90) == (timedelta(hours=2), timedelta(hours=4))
    assert sum(t.tickets for t in found.times) == 8
    assert [(a.below, a.tickets) for a in found.backlog if a.tickets] == [(timedelta(days=3), 4)]
    rules = {r.key: (r.tickets, r.open, r.events, r.hits, r.misses) for r in found.rules}
    assert rules == {"r1": (6, 2, 31, 2, 1), "r2": (2, 2, 15, 0, 0)}
    assert [(a.key, a.tickets, a.open) for a in found.agencies] == [
        ("ward-1", 6, 2),
        ("ward-2", 2, 2),
    ]
    assert [round(r.precision, 2) if r.precision else None for r in found.rules] == [0.57, None]
    days = {d.day: (d.opened, d.closed) for d in found.by_day if d.opened or d.closed}
    assert days == {date(1970, 1, 31): (8, 4)}
    assert len(found.by_day) == 8


def test_what_was_opened_before_the_period_is_backlog_alone(state: State) -> None:
    found = figures(state, AN, days=7, now=NOW + timedelta(days=20))
    assert (found.rules, found.agencies) == ((), ())
    assert [(a.below, a.tickets) for a in found.backlog if a.tickets] == [(timedelta(days=30), 4)]


def test_an_officer_s_figures_are_of_the_own_agency(state: State) -> None:
    now = NOW + timedelta(days=2)
    found = figures(state, officer("chi", "ward-2"), days=7, now=now)
    assert [(a.key, a.tickets) for a in found.agencies] == [("ward-2", 2)]
    assert [r.key for r in found.rules] == ["r2"]
    assert sum(a.tickets for a in found.backlog) == 2
    assert figures(state, AUDITOR, days=7, now=now).agencies[0].tickets == 6


def test_no_other_period_is_counted(state: State) -> None:
    with pytest.raises(UsageError, match="7, 30, 90, 365"):
        figures(state, AN, days=8, now=NOW)


@pytest.mark.parametrize(
    ("count", "part", "minutes"),
    [(1, 0.5, 1), (2, 0.5, 1), (3, 0.5, 2), (10, 0.9, 9), (11, 0.9, 10)],
)
def test_the_share_of_a_list_is_one_of_its_values(count: int, part: float, minutes: int) -> None:
    assert share([timedelta(minutes=n + 1) for n in range(count)], part) == timedelta(
        minutes=minutes
    )
    assert share([], part) is None
