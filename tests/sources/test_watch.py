"""A source that is not well is a ticket for its agency's officers, once, until it is well again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from support.people import analyst

from pipeline.model.errors import UsageError
from pipeline.settings.values import HealthSettings
from pipeline.sources.conditions import HOUR, Hour, Sight, conditions
from pipeline.sources.limits import set_limits
from pipeline.sources.watch import watch_once
from pipeline.state.state import State
from pipeline.state.tables.intake import DeadLetterRow, Node
from pipeline.state.tables.register import Agency, Source, SourceHour, SourceSeen, SourceWatch
from pipeline.state.tables.tickets import Ticket, TicketClock, TicketHistory
from pipeline.store.seen import LEAST
from pipeline.tickets import life
from pipeline.tickets.deeds import Request

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)  # a Tuesday, 16:00 in the city
LIMITS = HealthSettings(settle_minutes=5)
MINUTE = timedelta(minutes=1)


def rhythm(per_hour: int, weeks: int = 5, *, until: datetime = NOW) -> dict[datetime, Hour]:
    return {until - n * HOUR: Hour(per_hour) for n in range(1, weeks * 168 + 1)}


def seen(**more: Any) -> Sight:
    given: dict[str, Any] = {
        "last_received": NOW,
        "newest": NOW,
        "newest_received": NOW,
        "hours": {},
    }
    return Sight(**given | more)


@pytest.mark.parametrize(
    ("sight", "after", "found"),
    [
        (seen(last_received=None, newest=None), HOUR, {}),
        (seen(hours=rhythm(1_000)), 14 * MINUTE, {}),
        (seen(hours=rhythm(1_000)), 15 * MINUTE, {"silent": {"minutes": 15}}),
        (seen(hours=rhythm(4)), 4 * HOUR, {}),
        (seen(hours=rhythm(4)), 5 * HOUR, {"silent": {"minutes": 300}}),
        (seen(hours=rhythm(0)), 90 * HOUR, {}),  # it never sends much
        (seen(), 23 * HOUR, {}),
        (seen(), 24 * HOUR, {"silent": {"minutes": 1440}}),  # without a rhythm
        (seen(newest=NOW - 30 * MINUTE), MINUTE, {"lag": {"minutes": 30}}),
        (seen(newest=NOW - 29 * MINUTE), MINUTE, {}),
        (seen(newest=NOW + 5 * MINUTE), MINUTE, {"skew": {"minutes": 5}}),
        (seen(least=(600.0, 612.5, 604.0)), MINUTE, {"behind": {"minutes": 10}}),
        (seen(least=(600.0, 612.5, 604.0), newest=NOW - 40 * MINUTE), MINUTE, {"behind": {"minutes": 10}}),
        (seen(least=(5.0, 600.0, 612.5, 604.0)), MINUTE, {"behind": {"minutes": 10}}),
        (seen(least=(600.0, 612.5, 2.0)), MINUTE, {}),  # it can be in time
        (seen(least=(600.0, 900.0, 604.0)), MINUTE, {}),  # a backlog comes and goes
        (seen(least=(600.0, 604.0)), MINUTE, {}),
        (seen(least=(299.0, 299.0, 299.0)), MINUTE, {}),
        (seen(hours={NOW: Hour(100, failures=20)}), MINUTE, {"failing": {"records": 20, "of": 100}}),
        (seen(hours={NOW: Hour(1_000, failures=20)}), MINUTE, {}),
        (seen(hours={NOW: Hour(100, failures=19)}), MINUTE, {}),
        (seen(hours={NOW: Hour(200, repeated=100)}), MINUTE, {"resent": {"records": 100, "of": 200}}),
        (
            seen(hours=rhythm(200) | {NOW - HOUR: Hour(2_000)}), MINUTE,
            {"volume": {"records": 2_000, "expected": 200}},
        ),
        (
            seen(hours=rhythm(200) | {NOW - HOUR: Hour(20)}), MINUTE,
            {"volume": {"records": 20, "expected": 200}},
        ),
        (seen(hours=rhythm(200) | {NOW - HOUR: Hour(1_999)}), MINUTE, {}),
        (seen(hours=rhythm(2) | {NOW - HOUR: Hour(30)}), MINUTE, {}),  # few are no volume
        (seen(hours=rhythm(200, weeks=1) | {NOW - HOUR: Hour(9_000)}), MINUTE, {}),  # not learned yet
    ],
)  # fmt: skip
def test_conditions_are_a_function_of_what_came(
    sight: Sight, after: timedelta, found: dict[str, Any]
) -> None:
    assert conditions(sight, LIMITS, NOW + after) == found


def test_a_source_that_rests_at_night_is_not_silent_then() -> None:
    hours = {at: one for at, one in rhythm(500, until=NOW).items() if 1 <= at.hour < 10}  # 8–17 h
    evening = seen(last_received=NOW + HOUR, newest=None, hours=hours | {NOW: Hour(500)})
    assert conditions(evening, LIMITS, NOW + 12 * HOUR) == {}
    assert "silent" in conditions(evening, LIMITS, NOW + 17 * HOUR)  # the next morning, 9 h


@pytest.fixture
def source(state: State) -> str:
    with state.begin() as session:
        session.add(
            Agency(id="ward-1", name_vi="Phường 1", name_en="Ward 1", level=2, valid_from=NOW)
        )
        session.flush()
        session.add(Source(id="fw", agency="ward-1", product="x", name="Tường lửa", created=NOW))
        session.add(SourceSeen(source="fw", node="c", counters={"received": 0}, last_received=NOW))
        session.add_all(SourceHour(source="fw", hour=at, received=1_000) for at in rhythm(1))
    return "fw"


def receive(state: State, count: int, at: datetime, **more: int) -> None:
    with state.begin() as session:
        row = session.scalars(sa.select(SourceSeen)).one()
        row.counters = row.counters | {"received": row.counters["received"] + count} | more
        row.last_received = at


def look(state: State, *minutes: int) -> list[tuple[str, str, str]]:
    for minute in minutes:
        watch_once(state, LIMITS, now=NOW + minute * MINUTE)
    with state.read() as session:
        tickets = session.scalars(sa.select(Ticket).order_by(Ticket.number))
        return [(one.rule, one.status, one.reason) for one in tickets]


def test_silence_opens_one_ticket_that_waits_for_the_agency_and_closes_when_something_comes(
    state: State, source: str
) -> None:
    assert look(state, 0, 10, 15, 16) == []
    opened = [("health:silent", "waiting", "")]
    assert look(state, 20) == opened
    assert look(state, 21, 40, 90) == opened
    receive(state, 50, NOW + 95 * MINUTE)
    assert look(state, 96, 100) == opened
    assert look(state, 101) == [("health:silent", "closed", "recovered")]
    with state.read() as session:
        ticket = session.scalars(sa.select(Ticket)).one()
        assert (ticket.kind, ticket.agency, ticket.entity, ticket.waiting_for, ticket.title) == (
            "health", "ward-1", "fw", "", "Nguồn im lặng · Source is silent: Tường lửa",
        )  # fmt: skip
        lines = session.scalars(sa.select(TicketHistory).order_by(TicketHistory.place))
        assert [(one.what, one.by) for one in lines] == [
            ("opened", "system:pipeline"), ("closed", "system:pipeline"),
        ]  # fmt: skip
        assert session.scalars(sa.select(TicketClock)).all() == []


def test_a_silence_that_comes_again_is_a_new_ticket_that_follows_the_old(
    state: State, source: str
) -> None:
    look(state, 0, 16, 22)
    receive(state, 1_000, NOW + 30 * MINUTE)
    look(state, 31, 37)
    assert look(state, 60, 66) == [("health:silent", "closed", "recovered"), ("health:silent", "waiting", "")]  # fmt: skip
    with state.read() as session:
        first, second = session.scalars(sa.select(Ticket).order_by(Ticket.number))
        assert (first.follows, second.follows) == ("", first.id)


def test_a_ticket_that_people_closed_stays_closed_while_the_condition_lasts(
    state: State, source: str
) -> None:
    look(state, 0, 16, 22)
    request = Request(actor=analyst(), ticket="1")
    life.close(state, request, reason="benign_true_positive", note="bảo trì", now=NOW + 23 * MINUTE)
    assert look(state, 24, 60, 120) == [("health:silent", "closed", "benign_true_positive")]


def test_a_source_that_is_switched_off_is_well(state: State, source: str) -> None:
    look(state, 0, 16, 22)
    with state.begin() as session:
        session.get_one(Source, "fw").state = "retired"
    assert look(state, 23, 29) == [("health:silent", "closed", "recovered")]


def test_a_rhythm_that_fades_makes_nobody_well(state: State, source: str) -> None:
    look(state, 0, 16, 22)
    weeks = 60 * 24 * 60
    assert look(state, weeks, weeks + 6) == [("health:silent", "waiting", "")]


def test_dead_letters_and_repeats_are_counted_once(state: State, source: str) -> None:
    with state.begin() as session:
        session.add(Node(id="c", kind="collect", created=NOW))
    look(state, 0)
    with state.begin() as session:
        session.add_all(
            DeadLetterRow(
                node="c", sequence=n, source="fw", agency="ward-1", cause="x", message="", received=NOW
            )
            for n in range(90)
        )  # fmt: skip
    receive(state, 100, NOW + MINUTE, repeated=7)
    look(state, 1, 2, 3)
    with state.read() as session:
        hour = session.get_one(SourceHour, ("fw", NOW))
        assert (hour.received, hour.repeated, hour.failures) == (100, 7, 90)
        assert sorted(session.get_one(SourceWatch, "fw").since) == ["failing"]
    assert look(state, 7) == [("health:failing", "waiting", "")]


def test_a_source_s_own_threshold_stands_before_the_settings(state: State, source: str) -> None:
    set_limits(state, analyst(), source, {"silence_minutes": "600"}, now=NOW)
    assert look(state, 20, 26, 60) == []
    set_limits(state, analyst(), source, {"silence_minutes": ""}, now=NOW)
    assert [status for _, status, _ in look(state, 61, 67)] == ["waiting"]


def test_a_threshold_below_the_settings_holds_too(state: State, source: str) -> None:
    set_limits(state, analyst(), source, {"silence_minutes": "5"}, now=NOW)
    assert [status for _, status, _ in look(state, 7, 13)] == ["waiting"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("odd", "1"), ("every_seconds", "1"), ("lag_minutes", "x"), ("lag_minutes", "-1"), ("failure_share", "1.5"),
     ("silence_hours", "1.5"), ("lag_minutes", "inf"), ("failure_share", "nan")],
)  # fmt: skip
def test_a_threshold_that_cannot_be_is_refused(
    state: State, source: str, name: str, text: str
) -> None:
    with pytest.raises(UsageError):
        set_limits(state, analyst(), source, {name: text}, now=NOW)


def settled(state: State, newest: datetime, at: datetime) -> None:
    """What the normaliser saw last: the newest event happened at `newest` and came at `at`."""
    with state.begin() as session:
        row = session.scalars(sa.select(SourceSeen).where(SourceSeen.node == "normalise")).first()
        if row is None:
            row = SourceSeen(source="fw", node="normalise", counters={})
            session.add(row)
        row.last_event, row.last_received = newest, at


def make_lag(state: State, at: datetime, ill: bool) -> None:
    settled(state, at - (40 if ill else 0) * MINUTE, at)


def make_skew(state: State, at: datetime, ill: bool) -> None:
    settled(state, at + (10 if ill else 0) * MINUTE, at)


def make_behind(state: State, at: datetime, ill: bool) -> None:
    settled(state, at - (40 if ill else 0) * MINUTE, at)
    lag = 2_400.0 if ill else 1.0
    with state.begin() as session:
        row = session.scalars(sa.select(SourceSeen).where(SourceSeen.node == "normalise")).one()
        row.counters = {LEAST: {f"2026-11-24T0{n}:00:00.000Z": lag + n for n in range(3)}}


def make_failing(state: State, at: datetime, ill: bool) -> None:
    with state.begin() as session:
        if session.get(Node, "c") is None:
            session.add(Node(id="c", kind="collect", created=NOW))
            session.flush()
        last = session.scalar(sa.select(sa.func.max(DeadLetterRow.sequence))) or 0
        session.add_all(
            DeadLetterRow(
                node="c", sequence=last + n, source="fw", agency="ward-1", cause="x", message="", received=at
            )
            for n in range(1, 91 if ill else 1)
        )  # fmt: skip


def make_resent(state: State, at: datetime, ill: bool) -> None:
    with state.begin() as session:
        row = session.scalars(sa.select(SourceSeen).where(SourceSeen.node == "c")).one()
        row.counters = row.counters | {
            "repeated": row.counters.get("repeated", 0) + (500 if ill else 0)
        }


def make_volume(state: State, at: datetime, ill: bool) -> None:
    with state.begin() as session:
        hour = at.replace(minute=0) - HOUR
        row = session.get(SourceHour, ("fw", hour)) or SourceHour(source="fw", hour=hour)
        row.received = 20_000 if ill else 1_000
        session.add(row)


@pytest.mark.parametrize(
    ("condition", "make"),
    [("lag", make_lag), ("skew", make_skew), ("behind", make_behind), ("failing", make_failing),
     ("resent", make_resent), ("volume", make_volume)],
)  # fmt: skip
def test_each_condition_opens_one_ticket_for_the_agency_and_closes_as_recovered(
    state: State, source: str, condition: str, make: Any
) -> None:
    def at(minute: int, *, ill: bool) -> list[tuple[str, str, str]]:
        now = NOW + minute * MINUTE
        with state.begin() as session:
            row = session.scalars(sa.select(SourceSeen).where(SourceSeen.node == "c")).one()
            row.counters = row.counters | {"received": row.counters["received"] + 100}
            row.last_received = now
        make(state, now, ill)
        return look(state, minute)

    at(0, ill=False)
    assert at(61, ill=True) == []  # volume is judged when an hour is whole
    assert at(66, ill=True) == [(f"health:{condition}", "waiting", "")]
    later = [at(minute, ill=False) for minute in (190, 200, 250, 260)]
    assert later[-1] == [(f"health:{condition}", "closed", "recovered")]
    with state.read() as session:
        ticket = session.scalars(sa.select(Ticket)).one()
    assert (ticket.agency, ticket.kind, ticket.entity) == ("ward-1", "health", "fw")
