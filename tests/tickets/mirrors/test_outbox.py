"""The outbox: what may leave, what is said of a mirror that fails, dead letters sent again, marks escaped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.fake_mirrors import FakeRequestTracker, system
from support.findings import NOW, Given, take
from support.misbehaving import Server, misbehaving
from support.states import empty_state

from pipeline.model.errors import UsageError
from pipeline.model.scope import OPERATOR
from pipeline.settings.values import MirrorSettings
from pipeline.state.alarms import open_alarms
from pipeline.state.state import State
from pipeline.state.tables.tickets import Outbox
from pipeline.tickets.deeds import Request
from pipeline.tickets.facts import set_tlp
from pipeline.tickets.life import comment
from pipeline.tickets.mirrors.letters import shown
from pipeline.tickets.mirrors.make import make
from pipeline.tickets.mirrors.webhook import sign, verify
from pipeline.tickets.outbox.courier import Courier
from pipeline.tickets.outbox.post import Post, judge
from pipeline.tickets.outbox.rows import dead_rows, know_mirrors, replay


@pytest.fixture
def server() -> Iterator[Server]:
    with misbehaving(FakeRequestTracker()) as one:
        yield one


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    monkeypatch.setenv("MIRROR_SECRET", "x")
    opened = empty_state(tmp_path / "state.sqlite")
    yield opened
    opened.close()


def courier_of(state: State, url: str, **more: Any) -> Courier:
    one = system("request_tracker", url, **more)
    settings = MirrorSettings(systems=(one,), hosts=("127.0.0.1",))
    know_mirrors(state, settings)
    return Courier(state, one, settings, make(one, settings), dice=lambda: 0.0)


def states(state: State) -> list[str]:
    with state.read() as session:
        return list(session.scalars(sa.select(Outbox.state).order_by(Outbox.id)))


def test_red_never_leaves_whatever_the_ticket_was_at_the_deed(state: State, server: Server) -> None:
    courier = courier_of(state, server.url)
    take(state, [Given("f1")])  # told while it was amber …
    set_tlp(
        state, Request(actor=OPERATOR, ticket="1"), tlp="red", now=NOW
    )  # … and red before it is sent
    while courier.turn(NOW):
        pass
    assert (states(state), server.fake.tickets) == (["skipped", "skipped"], [])


def test_only_what_the_filters_let_out_is_told(state: State, server: Server) -> None:
    courier = courier_of(state, server.url, agencies=("ward-1",), level="high")
    take(
        state,
        [
            Given("f1", agency="ward-1", level="high", entity="a"),
            Given("f2", agency="ward-1", level="medium", entity="b"),
            Given("f3", agency="ward-2", level="high", entity="c"),
        ],
    )
    while courier.turn(NOW):
        pass
    assert sorted(states(state)) == ["sent", "skipped", "skipped"]
    assert [ticket["subject"][-1] for ticket in server.fake.tickets] == ["a"]


def test_what_was_given_up_is_listed_alarmed_and_sent_again_once(
    state: State, server: Server
) -> None:
    courier = courier_of(state, server.url)
    take(state, [Given("f1")])
    answers = server.fake.answer
    server.fake.answer = lambda method, *rest: (  # type: ignore[method-assign]
        answers(method, *rest) if method == "GET" else (422, {"message": "no"})
    )
    while courier.turn(NOW):
        pass
    server.fake.answer = answers  # type: ignore[method-assign]
    [dead] = dead_rows(state, agencies=None)
    assert (dead.mirror, dead.ticket, "422" in dead.error) == ("m", 1, True)
    assert dead_rows(state, agencies=frozenset({"another"})) == []
    assert "given up" in judge(state, "m", NOW)
    assert [alarm.key for alarm in open_alarms(state)] == ["mirror:m"]
    assert replay(state, row=dead.id, agencies=None, now=NOW) == 1
    while courier.turn(NOW):
        pass
    assert (states(state), len(server.fake.tickets)) == (["sent"], 1)
    assert judge(state, "m", NOW) == ""
    assert open_alarms(state) == []


def test_rows_that_wait_for_long_raise_the_alarm(state: State) -> None:
    courier_of(state, "http://127.0.0.1:9")
    take(state, [Given("f1")])
    assert judge(state, "m", NOW) == ""
    assert "1 deeds wait" in judge(state, "m", NOW + timedelta(minutes=16))


def test_deeds_of_a_ticket_go_in_order_and_no_faster_than_the_rate(
    state: State, server: Server
) -> None:
    courier = courier_of(state, server.url, per_minute=2)
    take(state, [Given("f1")])
    for text in ("một", "hai"):
        comment(state, Request(actor=OPERATOR, ticket="1"), text=text, now=NOW)
    assert [courier.turn(NOW) for _ in range(3)] == [True, True, False]
    assert courier.turn(NOW + timedelta(minutes=1))
    [ticket] = server.fake.tickets
    assert [text.splitlines()[1] for text in ticket["comments"]] == ["| một", "| hai"]


def test_a_host_that_is_not_on_the_list_is_refused(state: State) -> None:
    one = system("request_tracker", "http://evil.example")
    with pytest.raises(UsageError, match="not on the list"):
        make(one, MirrorSettings(systems=(one,), hosts=("127.0.0.1",)))


def test_marks_of_markdown_and_wiki_are_text() -> None:
    assert (
        shown("[x](http://e.example) <b>", "markdown") == r"\[x\]\(http\[\:\]//e\.example\) \<b\>"
    )
    assert shown("[x|http://e.example] {html}", "wiki") == r"\[x\|http\[:\]//e.example\] \{html\}"
    assert shown("a\nb\x1b\u202e", "plain") == "a ⏎ b⟦ESC⟧⟦202E⟧"


def test_a_signature_holds_for_its_body_its_time_and_five_minutes() -> None:
    good = sign("s", 1_000, b"{}")
    assert verify("s", "1000", good, b"{}", now=1_299)
    assert [
        verify("s", "1000", good, b"{}", now=1_301),
        verify("s", "1001", good, b"{}", now=1_000),
        verify("s", "1000", good, b"{ }", now=1_000),
        verify("t", "1000", good, b"{}", now=1_000),
        verify("s", "x", good, b"{}", now=1_000),
    ] == [False] * 5


def test_a_mirror_that_cannot_be_made_is_an_alarm_and_the_others_go_on(
    state: State, server: Server
) -> None:
    one = system("request_tracker", server.url)
    lost = replace(one, name="lost", password="env:NOT_SET")
    settings = MirrorSettings(systems=(lost, one), hosts=("127.0.0.1",))
    post = Post(state, settings, console="", now=NOW)
    assert [thread.name for thread in post.threads] == ["m"]
    (alarm,) = open_alarms(state)
    assert alarm.key == "mirror:lost"
    assert "NOT_SET" in alarm.message
    take(state, [Given("f1")])
    with state.read() as session:  # what it is to be told waits for it
        assert set(session.scalars(sa.select(Outbox.mirror))) == {"lost", "m"}


def test_settings_that_nobody_can_use_are_an_alarm_and_stop_no_tickets(state: State) -> None:
    wrong = replace(system("request_tracker", "http://192.0.2.1"), name="Not A Name")
    assert Post(state, MirrorSettings(systems=(wrong,)), console="", now=NOW).threads == []
    (alarm,) = open_alarms(state)
    assert alarm.key == "mirrors"
    assert "this is no name of a mirror" in alarm.message
    Post(state, MirrorSettings(), console="", now=NOW)
    assert open_alarms(state) == []
