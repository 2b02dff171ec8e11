"""A ticket's life by many actors: one owner, no lost word, every refusal says why."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
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
from pipeline.tickets.deeds import Outcome, Request

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
    life.start(state, by(AN), now=NOW)
    life.assign(state, by(AN), to="binh", note="giao ca", now=NOW)
    life.take_over(state, by(AN), reason="Bình nghỉ", now=NOW)
    life.release(state, by(AN), now=NOW)
    life.claim(state, by(BINH), now=NOW)
    life.close(state, by(BINH), reason="true_positive_no_impact", note="đã gỡ", now=NOW)
    last = life.reopen(state, by(AN), note="lại thấy", now=NOW)
    assert (last.status, last.owner, last.revision) == ("reopened", "", 11)
    assert [what for what, _ in told(state)] == [
        "opened", "claimed", "in_progress", "waiting", "commented", "in_progress", "assigned",
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


class Life(RuleBasedStateMachine):
    """Many actors do what they like; a small model says what must come of it."""

    actors = st.sampled_from([analyst(n) for n in ("an", "binh", "chi")])
    stale = st.sampled_from([None, None, 0, -1])

    @initialize()
    def begin(self) -> None:
        import tempfile

        from support.detecting import PlainEvaluator

        from pipeline.detect.runs import run_once
        from pipeline.tickets.grouping import tickets_once

        self.folder = tempfile.TemporaryDirectory()
        self.state = State.at(Path(self.folder.name) / "s.sqlite")
        self.state.create_tables()
        run_once(
            self.state, MemoryStore([event(1)]), PlainEvaluator(), holder="w", clock=lambda: NOW
        )  # type: ignore[arg-type]
        tickets_once(self.state, now=NOW)
        self.owner, self.closed, self.revision, self.lines = "", False, 1, 1

    def attempt(self, deed: Callable[[], Outcome], *, allowed: bool) -> bool:
        try:
            outcome = deed()
        except ConflictError:
            assert not allowed
            return False
        assert allowed
        assert outcome.revision >= self.revision
        self.revision = outcome.revision
        return True

    def request(self, actor: Actor, stale: int | None) -> Request:
        return by(actor, revision=None if stale is None else self.revision + stale)

    @rule(actor=actors, stale=stale)
    def claim(self, actor: Actor, stale: int | None) -> None:
        allowed = not self.closed and self.owner in ("", actor.name) and stale != -1
        if self.attempt(
            lambda: life.claim(self.state, self.request(actor, stale), now=NOW), allowed=allowed
        ):
            self.lines += self.owner != actor.name
            self.owner = actor.name

    @rule(actor=actors, stale=stale)
    def take_over(self, actor: Actor, stale: int | None) -> None:
        allowed = not self.closed and self.owner != actor.name and stale != -1
        if self.attempt(
            lambda: life.take_over(self.state, self.request(actor, stale), reason="ca", now=NOW),
            allowed=allowed,
        ):
            self.owner, self.lines = actor.name, self.lines + 1

    @rule(actor=actors)
    def release(self, actor: Actor) -> None:
        allowed = not self.closed and self.owner == actor.name
        if self.attempt(lambda: life.release(self.state, by(actor), now=NOW), allowed=allowed):
            self.owner, self.lines = "", self.lines + 1

    @rule(actor=actors, reason=st.sampled_from(EIGHT))
    def close(self, actor: Actor, reason: str) -> None:
        allowed = not self.closed and self.owner in ("", actor.name)
        if self.attempt(
            lambda: life.close(self.state, by(actor), reason=reason, note="x", now=NOW),
            allowed=allowed,
        ):
            self.closed, self.lines = True, self.lines + 1

    @rule(actor=actors)
    def reopen(self, actor: Actor) -> None:
        if self.attempt(
            lambda: life.reopen(self.state, by(actor), note="x", now=NOW), allowed=self.closed
        ):
            self.owner, self.closed, self.lines = "", False, self.lines + 1

    @rule(actor=actors)
    def comment(self, actor: Actor) -> None:
        self.attempt(lambda: life.comment(self.state, by(actor), text="x", now=NOW), allowed=True)
        self.lines += 1

    @invariant()
    def the_row_and_the_history_agree_with_the_model(self) -> None:
        if not hasattr(self, "state"):
            return
        with self.state.read() as session:
            (row,) = session.scalars(sa.select(Ticket))
            places = list(
                session.scalars(sa.select(TicketHistory.place).order_by(TicketHistory.place))
            )
        assert (row.owner, row.closed is not None) == (self.owner, self.closed)
        assert row.revision == self.revision
        assert places == list(range(1, self.lines + 1))

    def teardown(self) -> None:
        if hasattr(self, "state"):
            self.state.close()
            self.folder.cleanup()


@pytest.mark.parametrize("state", ["sqlite"], indirect=True)  # it opens states of its own
def test_whatever_actors_do_the_ticket_agrees_with_the_model() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Life, settings=settings(max_examples=15, stateful_step_count=15, deadline=None)
    )
