"""Who hears of what: once per cause, whatever dies, and nobody of what they may not read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from support.findings import NOW, Given, take
from support.people import analyst, officer

from pipeline.access import people
from pipeline.model.clock import EPOCH
from pipeline.model.errors import UsageError
from pipeline.model.scope import OPERATOR, SYSTEM
from pipeline.state.state import State
from pipeline.state.tables.desk import Notice
from pipeline.state.tables.operation import Counter
from pipeline.state.tables.register import Agency
from pipeline.state.tables.tickets import Ticket, TicketHistory
from pipeline.tickets import life, notices
from pipeline.tickets.deeds import Request
from pipeline.tickets.history import record
from pipeline.tickets.notices import NoticeView, Wish, notices_once, set_wish
from pipeline.tickets.shift import hand_over

AN, CHI = analyst("an"), analyst("chi")


@pytest.fixture(autouse=True)
def crowd(state: State) -> None:
    with state.begin() as session:
        for agency in ("ward-1", "ward-2"):
            if session.get(Agency, agency) is None:
                session.add(Agency(id=agency, name_vi=agency, name_en=agency, valid_from=EPOCH))
    for person, role, agencies in (
        ("an", "analyst", ()), ("chi", "analyst", ()), ("xa", "analyst", ("ward-2",)),
        ("binh", "officer", ("ward-1",)), ("hai", "officer", ("ward-2",)), ("quan", "administrator", ()),
    ):  # fmt: skip
        people.add(
            state, OPERATOR, person=person, name=person, role=role, agencies=agencies, now=NOW
        )


def told(state: State) -> list[tuple[str, str, str]]:
    with state.read() as session:
        rows = session.scalars(sa.select(Notice).order_by(Notice.kind, Notice.person))
        return [(row.kind, row.person, row.mail) for row in rows]


def tell(state: State, **more: Any) -> list[tuple[str, str, str]]:
    now = more.pop("now", NOW)
    while notices_once(state, now=now, **more):
        pass
    return told(state)


def test_a_new_critical_ticket_is_told_to_every_analyst_who_may_read_it_if_nobody_is_on_duty(
    state: State, critical: Ticket
) -> None:
    assert tell(state) == [("critical", "an", "waiting"), ("critical", "chi", "waiting")]
    with state.read() as session:
        line = session.scalars(
            sa.select(TicketHistory).order_by(TicketHistory.place.desc())
        ).first()
        assert line is not None
        assert (line.what, line.detail) == (
            "noticed", {"kind": "critical", "people": ["an", "chi"], "line": 1},
        )  # fmt: skip


def test_where_there_is_no_analyst_the_administrators_hear(state: State, critical: Ticket) -> None:
    for person in ("an", "chi"):
        people.disable(state, OPERATOR, person, now=NOW)
    assert tell(state) == [("critical", "quan", "waiting")]


def test_who_says_so_is_on_duty_until_the_shift_is_handed_over(
    state: State, critical: Ticket
) -> None:
    set_wish(state, CHI, Wish(on_duty=True, mail="chi@cns.example"))
    assert tell(state) == [("critical", "chi", "waiting")]
    hand_over(state, CHI, text="hết ca", now=NOW)
    assert notices.get_wish(state, CHI) == Wish(mail="chi@cns.example")


def test_a_cause_is_told_once_however_often_its_line_is_read(
    state: State, critical: Ticket
) -> None:
    before = tell(state)
    with state.begin() as session:  # as if the process had died before its cursor moved
        session.get_one(Counter, notices.CURSOR).value = 0
    assert tell(state) == before
    with state.read() as session:
        lines = sa.select(sa.func.count()).where(TicketHistory.what == "noticed")
        assert session.scalar(lines) == 1


def test_a_medium_ticket_is_news_to_nobody_until_it_is_set_critical(
    state: State, ticket: Ticket
) -> None:
    from pipeline.tickets.facts import set_severity

    assert tell(state) == []
    request = Request(actor=AN, ticket="1")
    set_severity(state, request, severity="critical", reason="máy chủ chính", now=NOW)
    assert tell(state) == [("critical", "chi", "waiting")]  # not who did it


def test_the_agency_s_officers_hear_the_question_and_the_owner_hears_the_answer(
    state: State, ticket: Ticket
) -> None:
    request = Request(actor=AN, ticket="1")
    life.claim(state, request, now=NOW)
    life.wait_for(state, request, whom="agency", note="xin hỏi", now=NOW)
    assert tell(state) == [("asked", "binh", "waiting")]
    life.comment(state, Request(actor=officer("binh", "ward-1"), ticket="1"), text="đây", now=NOW)
    assert tell(state) == [("answered", "an", "waiting"), ("asked", "binh", "waiting")]


def test_who_is_given_a_ticket_hears_of_it_in_the_console(state: State, ticket: Ticket) -> None:
    life.assign(state, Request(actor=AN, ticket="1"), to="chi", now=NOW)
    assert tell(state) == [("assigned", "chi", "none")]


def test_a_breach_is_told_to_the_people_of_the_settings_too(state: State, critical: Ticket) -> None:
    life.claim(state, Request(actor=AN, ticket="1"), now=NOW)
    for what in ("clock_warned", "clock_breached"):
        with state.begin() as session:
            one = session.get_one(Ticket, critical.id)
            record(session, one, what, by=SYSTEM.name, at=NOW, detail={"clock": "close"})
    found = tell(state, escalate_to=["quan", "ghost", "xa"])
    assert [one for one in found if one[0] != "critical"] == [
        ("breached", "an", "waiting"), ("breached", "quan", "waiting"), ("warned", "an", "none"),
    ]  # fmt: skip


def test_people_choose_how_they_are_told(state: State, critical: Ticket) -> None:
    set_wish(state, AN, Wish(ways={"critical": "none"}))
    set_wish(state, CHI, Wish(ways={"critical": "page"}))
    assert tell(state) == [("critical", "chi", "none")]
    with pytest.raises(UsageError, match="no such way"):
        set_wish(state, AN, Wish(ways={"critical": "fax"}))
    for address in ("a", "a@b\r\nBcc: x@y", "a b@c", "<a@b>"):
        with pytest.raises(UsageError, match="no address"):
            set_wish(state, AN, Wish(mail=address))


def test_what_is_older_than_a_day_is_news_no_more(state: State, critical: Ticket) -> None:
    assert tell(state, now=NOW + timedelta(days=9)) == []


def test_a_drill_is_told_in_the_console_alone(state: State, critical: Ticket) -> None:
    with state.begin() as session:
        session.get_one(Ticket, critical.id).drill = True
    assert tell(state) == [("critical", "an", "none"), ("critical", "chi", "none")]


def test_a_reader_sees_their_own_and_marks_them_seen(state: State, critical: Ticket) -> None:
    tell(state)
    (one,) = notices.notices_of(state, AN)
    assert isinstance(one, NoticeView)
    assert (one.kind, one.number, one.seen) == ("critical", 1, None)
    assert (notices.unseen(state, AN), notices.unseen(state, CHI)) == (1, 1)
    notices.mark_seen(state, AN, upto=one.id + 5, now=NOW)
    assert (notices.unseen(state, AN), notices.unseen(state, CHI)) == (0, 1)
    assert notices.notices_of(state, officer("an")) == []  # an agency that is theirs no more


@pytest.fixture
def ticket(state: State) -> Ticket:
    return _one(state, "medium")


@pytest.fixture
def critical(state: State) -> Ticket:
    return _one(state, "critical")


def _one(state: State, level: str) -> Ticket:
    take(state, [Given("a", level=level)])
    with state.read() as session:
        return session.scalars(sa.select(Ticket)).one()
