"""What to take first, from what, and how verdicts of closed tickets move it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from support.findings import NOW, Given, take
from support.people import analyst

from pipeline.model.clock import EPOCH
from pipeline.model.detections import Level
from pipeline.state.alarms import open_alarms
from pipeline.state.state import State
from pipeline.state.tables.register import Agency
from pipeline.state.tables.tickets import RulePrecision, Ticket
from pipeline.tickets import life
from pipeline.tickets.deeds import Request
from pipeline.tickets.priority import precision, precision_at, reckon_once, weigh
from pipeline.tickets.rounds import check_calendar


def test_a_rule_without_verdicts_is_neither_believed_nor_doubted() -> None:
    assert precision(0, 0) == 0.5
    assert [round(precision(*v), 2) for v in ((2, 0), (0, 2), (200, 0), (0, 200))] == [
        0.67, 0.33, 0.99, 0.01,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("severity", "level", "verdicts", "points", "parts"),
    [
        ("high", 0, (0, 0), 63, [60, 3, 0, 0]),
        ("high", 5, (96, 0), 80, [60, 10, 0, 10]),
        ("critical", 5, (0, 96), 80, [80, 10, 0, -10]),
        ("critical", 5, (96, 0), 100, [80, 10, 0, 10]),
        ("informational", 1, (0, 96), 0, [0, 0, 0, -10]),
    ],
)
def test_every_factor_is_shown_and_they_add_up(
    severity: str, level: int, verdicts: tuple[int, int], points: int, parts: list[int]
) -> None:
    found = weigh(severity, level, *verdicts)
    assert (found.points, [f.points for f in found.factors]) == (points, parts)


def test_a_rule_is_believed_at_an_agency_as_it_was_right_there_and_before_that_as_elsewhere() -> (
    None
):
    assert precision_at(0, 0, (0, 0)) == 0.5
    assert precision_at(96, 0, (0, 0)) == precision(96, 0)  # what others found
    assert precision_at(3, 5, (3, 5)) == precision(3, 5)  # it alone has verdicts
    assert [round(precision_at(96, 20, (0, n)), 2) for n in (0, 4, 20)] == [0.82, 0.42, 0.16]
    good, bad = (weigh("high", 0, 96, 20, 0, here).points for here in ((20, 0), (0, 20)))
    assert good > bad


def test_verdicts_at_one_agency_move_the_others_less(state: State) -> None:
    take(state, [Given(f"f{n}", entity=f"pc-{n}") for n in range(5)])
    take(state, [Given("far", agency="ward-2", entity="pc-9")])
    for number in (1, 2, 3):
        request = Request(actor=analyst(), ticket=str(number))
        life.close(state, request, reason="false_positive_logic", note="x", now=NOW)
    assert reckon_once(state, now=NOW) == 3
    now = priorities(state)
    assert now[4] == now[5] == 63 + round(20 * (precision(0, 3) - 0.5))
    assert now[6] == now[4]  # it has none of its own: what the others found counts
    request = Request(actor=analyst(), ticket="6")
    life.close(state, request, reason="true_positive_impact", note="x", now=NOW)
    take(state, [Given("far-2", agency="ward-2", entity="pc-10")])
    reckon_once(state, now=NOW)
    now = priorities(state)
    assert now[7] > now[4]


def test_no_other_factor_outweighs_a_step_of_severity() -> None:
    for low, high in zip(list(Level), list(Level)[1:], strict=False):
        most = weigh(low, 5, 10**6, 0).points
        least = weigh(high, 1, 0, 10**6).points
        assert most - least <= 10


def priorities(state: State) -> dict[int, int]:
    with state.read() as session:
        rows = session.execute(sa.select(Ticket.number, Ticket.priority))
        return {row.number: row.priority for row in rows}


def test_verdicts_move_the_open_tickets_of_the_rule_and_drills_count_for_nothing(
    state: State,
) -> None:
    with state.begin() as session:
        session.add(Agency(id="d", name_vi="d", name_en="d", drill=True, valid_from=EPOCH))
        session.add(Agency(id="ward-1", name_vi="w", name_en="w", level=4, valid_from=EPOCH))
    take(state, [Given(f"f{n}", entity=f"pc-{n}") for n in range(5)])
    take(state, [Given("drill", agency="d"), Given("other", rule="r2", entity="pc-9")])
    assert priorities(state) == dict.fromkeys((1, 2, 3, 4, 5, 7), 67) | {6: 63}
    reckon_once(state, now=NOW)
    reasons = {1: "false_positive_logic", 2: "benign_true_positive", 3: "insufficient_evidence"}
    for number, reason in (reasons | {6: "true_positive_impact"}).items():
        request = Request(actor=analyst(), ticket=str(number))
        life.close(state, request, reason=reason, note="x", now=NOW)
    assert reckon_once(state, now=NOW) == 2
    assert reckon_once(state, now=NOW) == 0
    with state.read() as session:
        rows = session.scalars(sa.select(RulePrecision)).all()
    assert {(r.rule, r.agency, r.hits, r.misses) for r in rows} == {
        ("r1", "", 0, 2),
        ("r1", "ward-1", 0, 2),
    }
    now = priorities(state)
    assert (now[4], now[5], now[7]) == (64, 64, 67)
    with state.begin() as session:
        session.get_one(Agency, "ward-1").level = 1
    assert reckon_once(state, now=NOW) == 3
    assert priorities(state)[7] == 60


def test_a_year_without_holidays_raises_an_alarm_in_time(state: State) -> None:
    from datetime import UTC, datetime

    check_calendar(state, now=datetime(2028, 11, 29, tzinfo=UTC))
    assert open_alarms(state) == []
    check_calendar(state, now=datetime(2028, 12, 2, tzinfo=UTC))
    assert [alarm.key for alarm in open_alarms(state)] == ["tickets:calendar"]
    check_calendar(state, now=datetime(2026, 11, 24, tzinfo=UTC))
    assert open_alarms(state) == []
