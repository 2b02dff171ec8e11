"""Clocks follow a ticket's life: promises pause and end, the law's do not; each warns once and breaches once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from support.findings import Given, put
from support.people import analyst

from pipeline.model.clock import CITY_ZONE, EPOCH
from pipeline.model.errors import ConflictError, NotFoundError, UsageError
from pipeline.state.state import State
from pipeline.state.tables.register import Agency
from pipeline.state.tables.tickets import Ticket, TicketClock, TicketHistory
from pipeline.tickets import facts, life
from pipeline.tickets.clocks import incident
from pipeline.tickets.clocks.clocks import clocks_once
from pipeline.tickets.clocks.packs import read_policies, standing
from pipeline.tickets.deeds import Request
from pipeline.tickets.grouping import tickets_once

AN = analyst("an")


def at(text: str) -> datetime:
    """A time of the city."""
    return datetime.fromisoformat(text).replace(tzinfo=CITY_ZONE).astimezone(UTC)


MONDAY = at("2026-11-23T08:00")


def opened(
    state: State,
    *,
    level: str = "high",
    system: int = 2,
    drill: bool = False,
    when: datetime = MONDAY,
) -> None:
    minutes = (when - EPOCH).total_seconds() / 60
    with state.begin() as session:
        session.add(
            Agency(
                id="ward-1", name_vi="x", name_en="x", level=system, drill=drill, valid_from=when
            )
        )
    put(state, Given("f", level=level, first=minutes - 5, made=minutes))
    while tickets_once(state, now=when):
        pass


def by(**more: Any) -> Request:
    return Request(actor=AN, ticket="1", **more)


def clocks(state: State) -> dict[str, TicketClock]:
    with state.read() as session:
        return {c.key: c for c in session.scalars(sa.select(TicketClock))}


def ticket(state: State) -> Ticket:
    with state.read() as session:
        return session.scalars(sa.select(Ticket)).one()


def told(state: State, *what: str) -> list[tuple[str, str]]:
    with state.read() as session:
        rows = session.scalars(
            sa.select(TicketHistory)
            .where(TicketHistory.what.in_(what))
            .order_by(TicketHistory.place)
        )
        return [(row.what, row.detail.get("clock", "")) for row in rows]


def ring(state: State, now: datetime) -> int:
    count = 0
    while spoke := clocks_once(state, now=now):
        count += spoke
    return count


@pytest.mark.parametrize(
    ("level", "system", "claim", "close"),
    [
        ("critical", 5, "2026-11-23T08:10", "2026-11-23T12:00"),
        ("critical", 4, "2026-11-23T08:15", "2026-11-23T16:00"),
        ("critical", 1, "2026-11-23T08:15", "2026-11-23T20:00"),
        ("high", 0, "2026-11-23T09:00", "2026-11-24T08:00"),
        # 24 working hours: 7½ of Monday, 8 of Wednesday and Thursday (24/11 is a holiday), ½ of Friday
        ("medium", 2, "2026-11-23T13:30", "2026-11-27T08:00"),
    ],
)
def test_the_promise_goes_by_severity_level_and_working_days(
    state: State, level: str, system: int, claim: str, close: str
) -> None:
    opened(state, level=level, system=system)
    due = {key: clock.due for key, clock in clocks(state).items()}
    assert due["claim"] == at(claim)
    assert due["close"] == at(close)
    assert (ticket(state).due, ticket(state).due_what) == (at(claim), "claim")


def test_a_drill_has_no_clock(state: State) -> None:
    opened(state, drill=True)
    incident.mark(state, by(), sign="serious", seen=True, reason="diễn tập", now=MONDAY)
    assert clocks(state) == {}
    assert ticket(state).due is None


def test_a_clock_warns_once_and_breaches_once_and_the_history_tells(state: State) -> None:
    opened(state)
    assert ring(state, MONDAY + timedelta(minutes=44)) == 0
    assert ring(state, MONDAY + timedelta(minutes=45)) == 1
    assert (ticket(state).alert, ring(state, MONDAY + timedelta(minutes=59))) == ("warned", 0)
    assert ring(state, MONDAY + timedelta(minutes=60)) == 1
    assert ring(state, MONDAY + timedelta(hours=3)) == 0
    assert (ticket(state).alert, ticket(state).due_what) == ("breached", "claim")
    assert told(state, "clock_warned", "clock_breached") == [
        ("clock_warned", "claim"),
        ("clock_breached", "claim"),
    ]
    life.claim(state, by(), now=MONDAY + timedelta(hours=3))
    assert (clocks(state)["claim"].state, ticket(state).due_what) == ("missed", "close")
    assert ticket(state).alert == ""


def test_a_role_that_was_away_says_the_breach_alone(state: State) -> None:
    opened(state)
    ring(state, MONDAY + timedelta(days=9))
    assert told(state, "clock_warned", "clock_breached") == [
        ("clock_breached", "claim"),
        ("clock_breached", "close"),
    ]


def test_waiting_stops_the_promise_and_closing_ends_it(state: State) -> None:
    opened(state)
    life.claim(state, by(), now=MONDAY + timedelta(minutes=30))
    assert clocks(state)["claim"].state == "met"
    life.wait_for(state, by(), whom="agency", note="?", now=MONDAY + timedelta(hours=2))
    waiting = clocks(state)["close"]
    assert (waiting.state, waiting.spent, waiting.due, waiting.next) == ("paused", 7200, None, None)
    assert ring(state, MONDAY + timedelta(days=3)) == 0
    life.start(state, by(), now=MONDAY + timedelta(days=3))
    assert clocks(state)["close"].due == MONDAY + timedelta(days=3, hours=22)
    life.close(
        state,
        by(),
        reason="true_positive_impact",
        note="x",
        now=MONDAY + timedelta(days=3, hours=1),
    )
    done = clocks(state)["close"]
    assert (done.state, done.spent) == ("met", 3 * 3600)
    later = MONDAY + timedelta(days=5)
    life.reopen(state, by(), note="lại", now=later)
    again = clocks(state)["close"]
    assert (again.state, again.due, again.spent) == ("running", later + timedelta(hours=24), 0)


def test_another_severity_gives_other_times(state: State) -> None:
    opened(state, level="high")
    facts.set_severity(state, by(), severity="critical", reason="máy chủ", now=MONDAY)
    assert clocks(state)["close"].due == MONDAY + timedelta(hours=12)
    ring(state, MONDAY + timedelta(hours=13))
    assert ticket(state).alert == "breached"
    facts.set_severity(
        state, by(), severity="high", reason="nhầm", now=MONDAY + timedelta(hours=13)
    )
    close = clocks(state)["close"]
    assert (close.state, close.due) == ("running", MONDAY + timedelta(hours=24))


def test_the_law_s_clocks_run_from_detection_and_nothing_pauses_them(state: State) -> None:
    opened(state)
    later = MONDAY + timedelta(hours=20)
    life.claim(state, by(), now=later)
    life.wait_for(state, by(), whom="supplier", note="?", now=later)
    incident.mark(state, by(), sign="serious", seen=True, reason="mất dịch vụ công", now=later)
    found = clocks(state)
    assert found["initial_24h"].due == MONDAY + timedelta(hours=24)
    assert found["report_72h"].due == MONDAY + timedelta(hours=72)
    assert "at_once" not in found
    assert {found[k].state for k in ("initial_24h", "report_72h")} == {"running"}
    incident.mark(state, by(), sign="national_security", seen=True, reason="x", now=later)
    incident.mark(state, by(), sign="personal_data", seen=True, reason="x", now=later)
    assert clocks(state)["at_once"].due == MONDAY
    assert clocks(state)["personal_data_72h"].due == MONDAY + timedelta(hours=72)
    life.start(state, by(), now=later)
    life.close(state, by(), reason="true_positive_impact", note="x", now=later)
    ring(state, MONDAY + timedelta(hours=25))
    assert ("clock_breached", "initial_24h") in told(state, "clock_breached")


def test_a_notice_ends_its_clock_in_time_or_late(state: State) -> None:
    opened(state)
    incident.mark(state, by(), sign="serious", seen=True, reason="x", now=MONDAY)
    soon, late = MONDAY + timedelta(hours=23), MONDAY + timedelta(hours=73)
    incident.notified(state, by(), clock="initial_24h", recipient="A05, điện thoại", now=soon)
    incident.notified(state, by(), clock="report_72h", recipient="A05, công văn", now=late)
    states = {key: clock.state for key, clock in clocks(state).items() if clock.kind == "legal"}
    assert states == {"initial_24h": "met", "report_72h": "missed"}
    with pytest.raises(ConflictError, match="runs no more"):
        incident.notified(state, by(), clock="report_72h", recipient="A05", now=late)
    for wrong in ("claim", "nothing"):
        with pytest.raises(NotFoundError, match="no such legal clock"):
            incident.notified(state, by(), clock=wrong, recipient="A05", now=late)


def test_a_sign_taken_back_or_a_closing_as_no_incident_voids_the_law_s_clocks(state: State) -> None:
    opened(state)
    incident.mark(state, by(), sign="serious", seen=True, reason="x", now=MONDAY)
    incident.mark(state, by(), sign="serious", seen=False, reason="nhầm", now=MONDAY)
    assert clocks(state)["initial_24h"].state == "void"
    incident.mark(state, by(), sign="serious", seen=True, reason="đúng", now=MONDAY)
    assert clocks(state)["initial_24h"].state == "running"
    life.close(state, by(), reason="false_positive_logic", note="x", now=MONDAY)
    assert clocks(state)["initial_24h"].state == "void"
    assert ring(state, MONDAY + timedelta(days=9)) == 0
    life.reopen(state, by(), note="x", now=MONDAY + timedelta(hours=30))
    assert clocks(state)["initial_24h"].state == "running"
    assert told(state, "sign", "sign_taken_back") == [
        ("sign", ""),
        ("sign_taken_back", ""),
        ("sign", ""),
    ]


def test_before_the_law_came_into_force_its_signs_are_unknown(state: State) -> None:
    opened(state, when=at("2026-06-30T23:59"))
    with pytest.raises(UsageError, match="no such sign"):
        incident.mark(state, by(), sign="serious", seen=True, reason="x", now=MONDAY)


def test_merged_tickets_keep_the_law_s_clocks_from_the_first_detection(state: State) -> None:
    opened(state)
    minutes = (MONDAY - EPOCH).total_seconds() / 60
    put(state, Given("g", entity="pc-2", first=minutes + 60, made=minutes + 60))
    tickets_once(state, now=MONDAY + timedelta(hours=1))
    request = Request(actor=AN, ticket="2")
    incident.mark(state, request, sign="serious", seen=True, reason="x", now=MONDAY)
    facts.merge(state, request, into="1", note="", now=MONDAY + timedelta(hours=2))
    with state.read() as session:
        rows = session.execute(
            sa.select(Ticket.number, TicketClock.state, TicketClock.due)
            .join(Ticket, Ticket.id == TicketClock.ticket)
            .where(TicketClock.key == "initial_24h")
            .order_by(Ticket.number)
        ).all()
    assert [(r.number, r.state) for r in rows] == [(1, "running"), (2, "void")]
    assert rows[0].due == MONDAY + timedelta(hours=24)


# --- the packs


def test_the_standing_packs_are_valid_one_at_a_time() -> None:
    packs = standing()
    days = [at(f"{day}T12:00") for day in ("2020-01-01", "2026-06-30", "2026-07-01", "2031-01-01")]
    found = [pack.id if (pack := packs.legal_at(day)) else None for day in days]
    assert found == ["vn-legacy-2016", "vn-legacy-2016", "vn-2026", "vn-2026"]
    # the last minute of a day is the city's, not Greenwich's
    assert packs.legal_at(datetime(2026, 6, 30, 16, 59, tzinfo=UTC)).id == "vn-legacy-2016"  # type: ignore[union-attr]
    assert packs.legal_at(datetime(2026, 6, 30, 17, 0, tzinfo=UTC)).id == "vn-2026"  # type: ignore[union-attr]
    assert packs.service_at(at("2025-12-31T12:00")) is None


def test_a_promise_is_the_pack_s_of_the_ticket_s_day_to_the_city_s_midnight() -> None:
    first = standing().service[0]
    later = msgspec.structs.replace(first, valid_from=date(2027, 1, 1), warn=0.5)
    packs = msgspec.structs.replace(standing(), service=(later, first))  # in no order
    eve = datetime(2026, 12, 31, 16, 59, 59, tzinfo=UTC)
    assert packs.service_at(eve) == first
    assert packs.service_at(eve + timedelta(seconds=1)) == later
    assert packs.service_at(at("2031-01-01T12:00")) == later


def test_a_law_s_last_day_is_whole_and_a_gap_between_two_has_no_pack() -> None:
    old, new = (pack for pack in standing().legal if pack.id in ("vn-legacy-2016", "vn-2026"))
    pair = sorted((old, new), key=lambda pack: pack.valid_from or date.min)
    gap = msgspec.structs.replace(pair[1], valid_from=date(2026, 7, 3))
    packs = msgspec.structs.replace(standing(), legal=(gap, pair[0]))
    days = ("2026-06-30T23:59:59", "2026-07-01T00:00", "2026-07-02T23:59:59", "2026-07-03T00:00")
    found = [pack.id if (pack := packs.legal_at(at(day))) else None for day in days]
    assert found == ["vn-legacy-2016", None, None, "vn-2026"]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("valid_to: 2026-06-30", "valid_to: 2026-07-01", "in force at once"),
        ("signs: [personal_data]", "signs: [personal]", "unknown sign"),
        ("within: 24h", "within: a day", "no span of time"),
        ("weekdays:", "weekday:", "calendar-vn.yml"),
        ("warn: 0.75", "warn: soon", "service-levels.yml"),
    ],
)
def test_a_pack_that_cannot_be_used_is_refused_by_name(
    tmp_path: Any, old: str, new: str, fault: str
) -> None:
    from pipeline.model.errors import FaultsError
    from pipeline.settings.places import config_dir

    for path in (config_dir() / "policies").glob("*.yml"):
        (tmp_path / path.name).write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(FaultsError, match=fault):
        read_policies(tmp_path)
