"""Every mirror against a server that fails in every way: each ticket and comment stands there once, in the end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from support.fake_mirrors import FAKES, system
from support.findings import NOW, Given, take
from support.misbehaving import AFTER, BEFORE, REFUSALS, Server, misbehaving
from support.states import empty_state

from pipeline.model.scope import OPERATOR
from pipeline.settings.values import MirrorSettings
from pipeline.state.state import State
from pipeline.state.tables.tickets import MirrorLink, MirrorState, Outbox
from pipeline.tickets.deeds import Request
from pipeline.tickets.life import close, comment
from pipeline.tickets.mirrors.base import Verdict, attempt
from pipeline.tickets.mirrors.letters import write
from pipeline.tickets.mirrors.make import make
from pipeline.tickets.outbox.courier import Courier
from pipeline.tickets.outbox.rows import know_mirrors

HOSTS = ("127.0.0.1",)
SECRET = "s3cret-of-the-mirror"


@pytest.fixture(params=sorted(FAKES))
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MIRROR_SECRET", SECRET)
    return str(request.param)


@pytest.fixture
def server(kind: str) -> Iterator[Server]:
    with misbehaving(FAKES[kind]()) as one:
        yield one


@pytest.fixture
def state(tmp_path: Any) -> Iterator[State]:
    opened = empty_state(tmp_path / "state.sqlite")
    yield opened
    opened.close()


def courier_of(state: State, kind: str, url: str, **more: Any) -> Courier:
    one = system(kind, url, **more)
    settings = MirrorSettings(systems=(one,), hosts=HOSTS)
    know_mirrors(state, settings)
    return Courier(state, one, settings, make(one, settings), dice=lambda: 0.0)


def work(state: State, courier: Courier, *, hours: int = 3) -> datetime:
    """Let the courier go on, the clock jumping, until nothing waits."""
    now = NOW
    for _ in range(hours * 60):
        while courier.turn(now):
            pass
        if not rows(state, "waiting", "sending", "unknown"):
            return now
        now += timedelta(minutes=1)
    raise AssertionError(f"still there: {rows(state, 'waiting', 'sending', 'unknown')}")


def rows(state: State, *states: str) -> list[tuple[str, str, str]]:
    with state.read() as session:
        found = session.scalars(sa.select(Outbox).order_by(Outbox.id))
        return [(r.what, r.state, r.error) for r in found if not states or r.state in states]


def live(state: State) -> None:
    """A ticket is opened, commented upon and closed."""
    take(state, [Given("f1", entity="pc-1")])
    comment(state, Request(actor=OPERATOR, ticket="1"), text="đã xem", now=NOW)
    close(
        state,
        Request(actor=OPERATOR, ticket="1"),
        reason="benign_true_positive",
        note="vô hại",
        now=NOW,
    )


def told(server: Server) -> list[tuple[int, bool]]:
    return [(len(t["comments"]), t["closed"]) for t in server.fake.tickets]


@pytest.mark.parametrize(
    ("mood", "place"),
    [*((mood, 0) for mood in (*AFTER, *BEFORE)), *((mood, 1) for mood in AFTER)],
)
def test_whatever_goes_wrong_each_deed_stands_once(
    state: State, server: Server, kind: str, mood: str, place: int
) -> None:
    courier = courier_of(state, kind, server.url)
    live(state)
    server.moods = ([""] * place + [mood, ""] * 4)[:7]  # every other deed goes wrong
    work(state, courier)
    assert told(server) == [(2, True)]
    assert [state for _, state, _ in rows(state)] == ["sent"] * 3
    assert server.elsewhere == []


def test_two_failures_of_a_deed_that_was_done_do_not_double_it(
    state: State, server: Server, kind: str
) -> None:
    courier = courier_of(state, kind, server.url)
    live(state)
    server.moods = ["500_after", "timeout_after", "half_after", "500_after", "html_after"]
    work(state, courier)
    assert told(server) == [(2, True)]


def test_a_look_up_that_fails_is_not_taken_for_absence(
    state: State, server: Server, kind: str
) -> None:
    courier = courier_of(state, kind, server.url)
    live(state)
    server.moods = ["500_after"]
    server.asked = ["", "html", "500", "other_system", "429", "redirect", "401"]
    work(state, courier)
    assert told(server) == [(2, True)]


def test_slow_down_is_obeyed_and_costs_no_try(state: State, server: Server, kind: str) -> None:
    courier = courier_of(state, kind, server.url)
    live(state)
    server.moods = ["429"]
    assert courier.turn(NOW)
    before = len(server.seen)
    assert not courier.turn(NOW + timedelta(seconds=6))
    assert len(server.seen) == before
    with state.read() as session:
        assert [r.tries for r in session.scalars(sa.select(Outbox))] == [0, 0, 0]
        assert session.get_one(MirrorState, "m").failing is None
    assert courier.turn(NOW + timedelta(seconds=8))


def test_a_host_that_is_not_reached_is_later_and_the_mirrors_trouble(
    state: State, kind: str
) -> None:
    courier = courier_of(state, kind, "http://127.0.0.1:9")
    live(state)
    assert courier.turn(NOW)
    assert courier.open_circuit
    assert rows(state)[0][1] == "waiting"
    with state.read() as session:
        assert session.get_one(MirrorState, "m").failing == NOW


def test_no_secret_stands_in_a_reason_even_when_the_answer_repeats_it(
    state: State, server: Server, kind: str
) -> None:
    courier = courier_of(state, kind, server.url)
    live(state)
    server.moods = ["401"]
    courier.turn(NOW)
    errors = " ".join(error for _, _, error in rows(state))
    assert "401" in errors
    import base64

    assert SECRET not in errors
    assert base64.b64encode(f"thapcanh:{SECRET}".encode()).decode() not in errors


def test_a_refusal_is_a_dead_letter_that_does_not_hold_up_what_follows(
    state: State, server: Server, kind: str
) -> None:
    courier = courier_of(state, kind, server.url)
    live(state)
    work(state, courier)
    server.fake.answer = lambda *_: (422, {"message": "no"})  # type: ignore[method-assign]
    server.fake.is_question = lambda *_: False  # type: ignore[method-assign]
    letter = write(
        {"id": "a" * 26, "number": 9, "title": "t", "entity": "e", "agency": "a", "severity": "high",
         "status": "new", "reason": "", "first": NOW.isoformat(), "last": NOW.isoformat(), "events": 1,
         "tlp": "amber", "drill": False, "waiting_for": "", "what": "opened", "by": "x", "text": "",
         "detail": {}},
        key="k", language="en", form="plain", console="",
    )  # fmt: skip
    answer = attempt(lambda: courier.mirror.create(letter))
    assert (answer.verdict, answer.whole) == (Verdict.REFUSED, False)


@pytest.mark.parametrize("status", REFUSALS)
def test_one_ticket_that_is_refused_is_a_dead_letter_and_the_others_go_on(
    state: State, server: Server, kind: str, status: str
) -> None:
    courier = courier_of(state, kind, server.url)
    take(state, [Given("f1", entity="pc-1"), Given("f2", entity="pc-2")])
    server.moods = [status]
    for _ in range(2):
        assert courier.turn(NOW)
    known = kind == "webhook" and status == "409"  # its way to say that it has done this one
    first, second = rows(state)
    assert (first[1], second[1]) == ("sent" if known else "dead", "sent")
    assert known or status in first[2]
    with state.read() as session:
        assert session.get_one(MirrorState, "m").failing is None
    comment(state, Request(actor=OPERATOR, ticket="1"), text="đã xem", now=NOW)
    assert courier.turn(NOW)  # what comes after it makes the ticket
    assert len(server.fake.tickets) == (1 if known else 2)


@pytest.mark.parametrize("status", REFUSALS)
def test_a_look_up_that_is_refused_gives_up_that_ticket_alone(
    state: State, server: Server, kind: str, status: str
) -> None:
    courier = courier_of(state, kind, server.url)
    if not courier.mirror.looks_up:
        return
    take(state, [Given("f1", entity="pc-1"), Given("f2", entity="pc-2")])
    if kind == "jira":
        courier.mirror.check()  # asks which Jira it is, once
    server.asked = [status]
    for _ in range(2):
        assert courier.turn(NOW)
    assert [state for _, state, _ in rows(state)] == ["dead", "sent"]
    assert rows(state)[0][2].startswith("cannot be looked up")


def test_where_all_is_refused_it_is_the_mirror_s_trouble_and_nothing_is_given_up(
    state: State, server: Server, kind: str
) -> None:
    courier = courier_of(state, kind, server.url)
    live(state)
    server.moods, server.asked = ["403"] * 9, ["403"] * 9
    assert courier.turn(NOW)
    assert courier.open_circuit
    assert rows(state)[0][1] == "waiting"
    with state.read() as session:
        assert session.get_one(MirrorState, "m").failing == NOW
    server.moods, server.asked = [], []
    work(state, courier)
    assert told(server) == [(2, True)]


def test_a_ticket_that_is_gone_over_there_hides_no_other_s_changes(
    state: State, server: Server, kind: str
) -> None:
    if kind not in ("iris", "thehive"):
        return  # those two are asked ticket by ticket
    courier = courier_of(state, kind, server.url)
    take(state, [Given(f"f{n}", entity=f"pc-{n}") for n in range(2)])
    work(state, courier)
    with state.read() as session:
        remotes = list(session.scalars(sa.select(MirrorLink.remote)))
    courier.mirror.check()  # asks who it is, once
    before = len(server.seen)
    server.asked = ["404"]
    courier.mirror.changes("0", remotes)
    assert len(server.seen) - before == 2


def test_check_says_what_it_is(state: State, server: Server, kind: str) -> None:
    assert courier_of(state, kind, server.url).mirror.check()
