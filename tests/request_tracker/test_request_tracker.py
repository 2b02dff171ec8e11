"""A real Request Tracker 5: a ticket's life over there, what people there do, and hostile text."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from support.findings import NOW, Given, put, take
from support.states import empty_state

from pipeline.model.scope import OPERATOR
from pipeline.settings.values import MirrorSettings, MirrorSystem
from pipeline.state.state import State
from pipeline.state.tables.tickets import MirrorLink, Outbox, Ticket, TicketHistory
from pipeline.tickets.deeds import Request
from pipeline.tickets.life import close, comment, reopen
from pipeline.tickets.mirrors.base import Trouble, Verdict
from pipeline.tickets.mirrors.letters import write
from pipeline.tickets.mirrors.make import make
from pipeline.tickets.outbox.courier import Courier
from pipeline.tickets.outbox.post import take_changes
from pipeline.tickets.outbox.rows import know_mirrors


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = empty_state(tmp_path / "state.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def courier(state: State, rt: ModuleType, tracker: str, monkeypatch: pytest.MonkeyPatch) -> Courier:
    monkeypatch.setenv("RT_PASSWORD", rt.PASSWORD)
    one = MirrorSystem(
        name="rt", kind="request_tracker", url=tracker, place=rt.QUEUE, user=rt.ACCOUNT,
        password="env:RT_PASSWORD",
    )  # fmt: skip
    settings = MirrorSettings(systems=(one,), hosts=("127.0.0.1",))
    know_mirrors(state, settings)
    return Courier(state, one, settings, make(one, settings), dice=lambda: 0.0)


def send(state: State, courier: Courier) -> None:
    now = NOW
    for _ in range(40):
        while courier.turn(now):
            pass
        now += timedelta(minutes=1)
    with state.read() as session:
        assert {(r.state, r.error) for r in session.scalars(sa.select(Outbox))} == {("sent", "")}


def remote_of(state: State, number: int = 1) -> str:
    with state.read() as session:
        return session.scalars(
            sa.select(MirrorLink.remote)
            .join(Ticket, Ticket.id == MirrorLink.ticket)
            .where(Ticket.number == number)
        ).one()


def there(rt: ModuleType, tracker: str, remote: str) -> dict[str, Any]:
    return dict(rt.ask(tracker, "GET", f"/ticket/{remote}"))


def texts(rt: ModuleType, tracker: str, remote: str) -> list[str]:
    found = rt.ask(
        tracker, "GET", f"/ticket/{remote}/attachments?fields=Content,ContentType&per_page=100"
    )
    return [str(one.get("Content", "")) for one in found["items"]]


def count(rt: ModuleType, tracker: str, tag: str) -> int:
    query = urllib.parse.quote(f"Subject LIKE '[{tag}]'")
    return len(rt.ask(tracker, "GET", f"/tickets?query={query}")["items"])


def test_check_names_the_server_and_the_queue(courier: Courier) -> None:
    assert courier.mirror.check().startswith("Request Tracker 5.")


def test_check_of_a_queue_that_is_not_there_says_so(courier: Courier, rt: ModuleType) -> None:
    courier.mirror._queue = "NOSUCH"  # type: ignore[attr-defined]
    with pytest.raises(Trouble, match="403"):
        courier.mirror.check()


def test_the_life_of_a_ticket(state: State, courier: Courier, rt: ModuleType, tracker: str) -> None:
    take(state, [Given("f1", entity="pc-1", level="high")])
    who = Request(actor=OPERATOR, ticket="1")
    comment(state, who, text="đã xem nhật ký", now=NOW)
    close(state, who, reason="benign_true_positive", note="vô hại", now=NOW)
    send(state, courier)
    found = there(rt, tracker, remote_of(state))
    assert (found["Status"], found["Queue"]["id"], found["Creator"]["id"]) == (
        "resolved",
        "3",
        rt.ACCOUNT,
    )
    assert "Title of r1 — pc-1" in found["Subject"]
    whole = "\n".join(texts(rt, tracker, remote_of(state)))
    assert whole.count("đã xem nhật ký") == 1
    assert whole.count("cảnh báo đúng, vô hại") == 1
    reopen(state, who, note="xem lại", now=NOW)
    send(state, courier)
    assert there(rt, tracker, remote_of(state))["Status"] == "open"


def test_an_absorbed_ticket_is_closed_there_as_a_duplicate(
    state: State, courier: Courier, rt: ModuleType, tracker: str
) -> None:
    take(state, [Given("f1", first=600), Given("f2", first=700)])
    put(state, Given("f3", first=650))
    take(state, [])
    send(state, courier)
    assert there(rt, tracker, remote_of(state, 1))["Status"] == "new"
    assert there(rt, tracker, remote_of(state, 2))["Status"] == "resolved"
    assert "trùng lặp của #1" in "\n".join(texts(rt, tracker, remote_of(state, 2)))


def test_what_is_done_there_comes_back_once_as_comments_of_its_actor(
    state: State, courier: Courier, rt: ModuleType, tracker: str
) -> None:
    take_changes(state, courier, NOW)  # from now on
    take(state, [Given("f1")])
    comment(state, Request(actor=OPERATOR, ticket="1"), text="của chúng ta", now=NOW)
    send(state, courier)
    remote = remote_of(state)
    said = {"Content": "máy đã cách ly <b>x</b>", "ContentType": "text/plain"}
    rt.ask(tracker, "POST", f"/ticket/{remote}/comment", said)
    rt.ask(tracker, "PUT", f"/ticket/{remote}", {"Status": "stalled"})
    for _ in range(3):
        take_changes(state, courier, NOW)
    with state.read() as session:
        back = [
            (h.what, h.by, h.text)
            for h in session.scalars(sa.select(TicketHistory).where(TicketHistory.by.like("rt:%")))
        ]
        ticket = session.scalars(sa.select(Ticket)).one()
        waiting = session.scalars(sa.select(Outbox).where(Outbox.state != "sent")).all()
    assert back == [
        ("commented", "rt: root", "máy đã cách ly <b>x</b>"),
        ("commented", "rt: root", "Status: new → stalled"),
    ]
    assert (ticket.status, waiting) == ("new", [])  # nothing overwritten, nothing sent back


def test_a_deed_that_was_done_and_not_recorded_is_found_there(
    state: State, courier: Courier, rt: ModuleType, tracker: str
) -> None:
    take(state, [Given("f1")])
    comment(state, Request(actor=OPERATOR, ticket="1"), text="một lần", now=NOW)
    send(state, courier)
    with state.begin() as session:  # as if the process had died before it could record anything
        session.execute(sa.delete(MirrorLink))
        session.execute(sa.update(Outbox).values(state="sending", due=NOW))
    send(state, courier)
    with state.read() as session:
        ticket = session.scalars(sa.select(Ticket)).one()
    assert count(rt, tracker, f"TC-1.{ticket.id[-10:]}") == 1
    assert "\n".join(texts(rt, tracker, remote_of(state))).count("một lần") == 1


HOSTILE = "pc\r\nX-RT-Owner: root\n\x1b[31m\u202egpj.exe <script>alert(1)</script> [x](http://evil.example) =cmd|' /C'!A0"


def test_hostile_text_of_logs_stands_there_as_text(
    state: State, courier: Courier, rt: ModuleType, tracker: str
) -> None:
    take(state, [Given("f1", entity=HOSTILE)])
    comment(
        state, Request(actor=OPERATOR, ticket="1"), text="a\nStatus: resolved\n\x1b[2J", now=NOW
    )
    send(state, courier)
    found = there(rt, tracker, remote_of(state))
    whole = found["Subject"] + "\n".join(texts(rt, tracker, remote_of(state)))
    assert "⟦202E⟧" in whole
    assert "⟦ESC⟧" in whole
    assert "http[:]//evil.example" in whole
    assert "<script>" in whole  # as text: RT escapes what is text/plain
    assert not any(char in whole for char in "\x1b\u202e\r")
    assert "http://evil" not in whole
    assert [line for line in whole.splitlines() if line.startswith(("X-RT", "Status:", "="))] == []
    assert (found["Status"], found["Owner"]["id"]) == ("new", "Nobody")


def test_a_wrong_password_is_the_mirrors_trouble_and_loses_nothing(
    state: State, rt: ModuleType, tracker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RT_PASSWORD", "wrong")
    one = MirrorSystem(
        name="rt", kind="request_tracker", url=tracker, place=rt.QUEUE, user=rt.ACCOUNT,
        password="env:RT_PASSWORD",
    )  # fmt: skip
    settings = MirrorSettings(systems=(one,), hosts=("127.0.0.1",))
    know_mirrors(state, settings)
    courier = Courier(state, one, settings, make(one, settings))
    take(state, [Given("f1")])
    assert courier.turn(NOW)
    with state.read() as session:
        row = session.scalars(sa.select(Outbox)).one()
    assert (row.state, row.tries) == ("waiting", 0)
    assert "401" in row.error
    assert courier.open_circuit


def test_an_unknown_ticket_there_is_a_refusal(courier: Courier) -> None:
    body = {
        "id": "a" * 26, "number": 9, "title": "t", "entity": "e", "agency": "a", "severity": "high",
        "status": "new", "reason": "", "first": NOW.isoformat(), "last": NOW.isoformat(), "events": 1,
        "tlp": "amber", "drill": False, "waiting_for": "", "what": "commented", "by": "x", "text": "y",
        "detail": {},
    }  # fmt: skip
    letter = write(body, key="k", language="en", form="plain", console="")
    with pytest.raises(Trouble) as caught:
        courier.mirror.comment("999999", letter)
    assert caught.value.answer.verdict is Verdict.REFUSED
