"""A ticket's life by many actors: one owner, no lost word, every refusal says why."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from support.detecting import MemoryStore, event
from support.people import AUDITOR, analyst, officer

from pipeline.model.clock import EPOCH
from pipeline.model.errors import ConflictError, ForbiddenError, NotFoundError, UsageError
from pipeline.model.scope import Actor
from pipeline.model.tickets import ClosingReason
from pipeline.state.state import State
from pipeline.state.tables.access import Person
from pipeline.state.tables.tickets import Ticket, TicketHistory
from pipeline.tickets import life
from pipeline.tickets.deeds import REMEMBERED, Outcome, Request, forget_deeds
from pipeline.tickets.leases import lapse_once

NOW = EPOCH + timedelta(days=1)
AN, BINH = analyst("an"), analyst("binh")
EIGHT = [r.value for r in ClosingReason if r is not ClosingReason.RECOVERED]


@pytest.fixture(autouse=True)
def ticket(detect: Callable[..., MemoryStore]) -> None:
    detect(event(1))


def by(actor: Actor, **more: Any) -> Request:
    return Request(actor=actor, ticket="1", **more)


def told(state: State) -> list[tuple[str, str]]:
    with state.read() as session:
        rows = session.scalars(sa.select(TicketHistory).order_by(TicketHistory.place))
        return [(row.what, row.by) for row in rows]


def test_a_claim_is_won_once_and_the_loser_hears_who_has_it(state: State) -> None:
    won = life.claim(state, by(AN, revision=1), now=NOW)
    assert (won.number, won.revision, won.status, won.owner) == (1, 2, "claimed", "person:an")
    with pytest.raises(ConflictError, match="held by person:an"):
        life.claim(state, by(BINH), now=NOW)
    with pytest.raises(ConflictError, match=r"changed since you saw it.*held by person:an"):
        life.claim(state, by(BINH, revision=1), now=NOW)
    assert life.claim(state, by(AN), now=NOW) == won
    assert told(state) == [("opened", "system:pipeline"), ("claimed", "person:an")]


def test_a_claim_by_someone_gone_lapses(state: State) -> None:
    life.claim(state, by(AN), now=NOW)
    later = NOW + life.CLAIM_HOLDS
    with pytest.raises(ConflictError):
        life.claim(state, by(BINH), now=later - timedelta(seconds=1))
    assert life.claim(state, by(BINH), now=later).owner == "person:binh"


def test_the_whole_way_to_the_end_and_back_is_in_the_history(state: State) -> None:
    with state.begin() as session:
        session.add(Person(id="binh", name="Bình", role="analyst", created=EPOCH))
    life.claim(state, by(AN), now=NOW)
    life.start(state, by(AN), now=NOW)
    life.wait_for(state, by(AN), whom="agency", note="máy này của ai?", now=NOW)
    life.comment(state, by(officer("chi", "ward-1")), text="của phòng kế toán", now=NOW)
    life.assign(state, by(AN), to="binh", note="giao ca", now=NOW)
    life.take_over(state, by(AN), reason="Bình nghỉ", now=NOW)
    life.release(state, by(AN), now=NOW)
    life.claim(state, by(BINH), now=NOW)
    life.close(state, by(BINH), reason="true_positive_no_impact", note="đã gỡ", now=NOW)
    last = life.reopen(state, by(AN), note="lại thấy", now=NOW)
    assert (last.status, last.owner, last.revision) == ("reopened", "", 11)
    assert [what for what, _ in told(state)] == [
        "opened", "claimed", "in_progress", "waiting", "answered", "assigned",
        "taken_over", "released", "claimed", "closed", "reopened",
    ]  # fmt: skip


@pytest.mark.parametrize("reason", EIGHT)
def test_each_of_the_eight_reasons_closes_with_a_note(state: State, reason: str) -> None:
    assert life.close(state, by(AN), reason=reason, note="xong", now=NOW).status == "closed"


@pytest.mark.parametrize("reason", ["recovered", "", "whatever"])
def test_no_other_reason_closes(state: State, reason: str) -> None:
    with pytest.raises(UsageError, match="true_positive_impact"):
        life.close(state, by(AN), reason=reason, note="xong", now=NOW)


def test_a_note_is_needed_to_close_reopen_wait_and_take_over(state: State) -> None:
    for deed in (
        lambda: life.close(state, by(AN), reason="duplicate", note=" \n", now=NOW),
        lambda: life.reopen(state, by(AN), note="", now=NOW),
        lambda: life.take_over(state, by(AN), reason="", now=NOW),
        lambda: life.wait_for(state, by(AN), whom="agency", note="", now=NOW),
        lambda: life.comment(state, by(AN), text="", now=NOW),
    ):
        with pytest.raises(UsageError, match="needs a note"):
            deed()


def test_what_is_another_s_or_closed_refuses_and_says_so(state: State) -> None:
    with pytest.raises(ConflictError, match="nobody has claimed"):
        life.start(state, by(AN), now=NOW)
    life.claim(state, by(AN), now=NOW)
    for deed in (
        lambda: life.start(state, by(BINH), now=NOW),
        lambda: life.release(state, by(BINH), now=NOW),
        lambda: life.close(state, by(BINH), reason="duplicate", note="x", now=NOW),
    ):
        with pytest.raises(ConflictError, match="held by person:an"):
            deed()
    life.close(state, by(AN), reason="duplicate", note="x", now=NOW)
    for shut in (
        lambda: life.claim(state, by(BINH), now=NOW),
        lambda: life.close(state, by(BINH), reason="duplicate", note="x", now=NOW),
        lambda: life.take_over(state, by(BINH), reason="x", now=NOW),
    ):
        with pytest.raises(ConflictError, match="the ticket is closed"):
            shut()


def test_the_permission_table_decides_and_a_strangers_ticket_does_not_exist(state: State) -> None:
    with pytest.raises(ForbiddenError):
        life.claim(state, by(AUDITOR), now=NOW)
    with pytest.raises(ForbiddenError):
        life.claim(state, by(officer("chi", "ward-1")), now=NOW)
    with pytest.raises(NotFoundError, match="no such ticket"):
        life.comment(state, by(officer("dung", "ward-2")), text="?", now=NOW)
    with pytest.raises(NotFoundError, match="no such ticket"):
        life.claim(state, Request(actor=AN, ticket="99"), now=NOW)


def test_a_repeat_under_its_key_gets_the_first_answer_and_another_request_is_refused(
    state: State,
) -> None:
    first = life.comment(state, by(AN, key="k1"), text="một lần", now=NOW)
    assert life.comment(state, by(AN, key="k1"), text="một lần", now=NOW) == first
    assert [what for what, _ in told(state)] == ["opened", "commented"]
    with pytest.raises(ConflictError, match="idempotency key"):
        life.comment(state, by(AN, key="k1"), text="hai lần", now=NOW)
    life.comment(state, by(BINH, key="k1"), text="hai lần", now=NOW)


def test_hostile_text_is_kept_without_what_a_database_cannot_hold(state: State) -> None:
    life.comment(state, by(AN), text="<b>\0\ud800</b>", now=NOW)
    with state.read() as session:
        text = session.scalar(
            sa.select(TicketHistory.text).where(TicketHistory.what == "commented")
        )
    assert text == "<b>\N{REPLACEMENT CHARACTER}?</b>"


def test_of_many_concurrent_claims_exactly_one_wins(state: State) -> None:
    won: list[Outcome] = []
    lost: list[ConflictError] = []

    def race(name: str) -> None:
        try:
            won.append(life.claim(state, by(analyst(name), revision=1), now=NOW))
        except ConflictError as error:
            lost.append(error)

    threads = [threading.Thread(target=race, args=(f"a{n}",)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 11)
    with state.read() as session:
        assert session.scalars(sa.select(Ticket.owner)).all() == [won[0].owner]


def test_the_agency_answers_a_ticket_that_waits_for_it_and_the_work_goes_on(state: State) -> None:
    life.claim(state, by(AN), now=NOW)
    life.wait_for(state, by(AN), whom="supplier", note="xin bản vá", now=NOW)
    life.comment(state, by(officer("chi", "ward-1")), text="đã biết", now=NOW)
    life.wait_for(state, by(AN), whom="agency", note="máy này của ai?", now=NOW)
    life.comment(state, by(BINH), text="đã gọi điện", now=NOW)
    answered = life.comment(state, by(officer("chi", "ward-1")), text="của kế toán", now=NOW)
    assert (answered.status, answered.owner) == ("in_progress", "person:an")
    assert [w for w, _ in told(state)] == [
        "opened", "claimed", "waiting", "commented", "waiting", "commented", "answered",
    ]  # fmt: skip


def test_a_claim_holds_for_a_week_while_the_ticket_waits(state: State) -> None:
    life.claim(state, by(AN), now=NOW)
    life.wait_for(state, by(AN), whom="supplier", note="xin bản vá", now=NOW)
    assert lapse_once(state, now=NOW + life.WAITING_HOLDS - timedelta(seconds=1)) == 0
    assert lapse_once(state, now=NOW + life.WAITING_HOLDS) == 1


def test_lapsed_claims_come_back_into_the_queue_once_and_are_told(state: State) -> None:
    life.claim(state, by(AN), now=NOW)
    life.start(state, by(AN), now=NOW)
    later = NOW + life.CLAIM_HOLDS
    assert (lapse_once(state, now=later), lapse_once(state, now=later)) == (1, 0)
    with state.read() as session:
        ticket = session.scalars(sa.select(Ticket)).one()
        line = session.scalars(
            sa.select(TicketHistory).where(TicketHistory.what == "lease_expired")
        ).one()
    assert (ticket.owner, ticket.status, ticket.owner_until) == ("", "new", None)
    assert (line.by, line.detail) == (
        "system:pipeline",
        {"before": "person:an", "was": "in_progress"},
    )
    with pytest.raises(ConflictError, match="nobody has claimed"):
        life.start(state, by(AN), now=later)


def test_the_answer_of_a_deed_is_remembered_for_a_week(state: State) -> None:
    life.comment(state, by(AN, key="k"), text="một", now=NOW)
    assert forget_deeds(state, now=NOW + REMEMBERED) == 0
    assert forget_deeds(state, now=NOW + REMEMBERED + timedelta(seconds=1)) == 1
