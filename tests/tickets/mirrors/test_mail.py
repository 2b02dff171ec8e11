"""Mail against a real SMTP server (aiosmtpd): threads, header injection, refusals."""

from __future__ import annotations

import email
import email.policy
import socket
from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from support.findings import NOW, Given, take
from support.states import empty_state

from pipeline.model.errors import FaultsError
from pipeline.model.scope import OPERATOR
from pipeline.settings.values import MirrorSettings, MirrorSystem
from pipeline.state.state import State
from pipeline.state.tables.tickets import Outbox
from pipeline.tickets.deeds import Request
from pipeline.tickets.life import close, comment
from pipeline.tickets.mirrors.make import check_settings, make
from pipeline.tickets.outbox.courier import Courier
from pipeline.tickets.outbox.rows import know_mirrors


class Box:
    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.answers: list[str] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer.startswith("250"):
            made = email.message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(made, EmailMessage)
            self.letters.append(made)
        return answer


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def box() -> Iterator[tuple[Box, int]]:
    made = Box()
    controller = Controller(made, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield made, controller.port
    controller.stop()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = empty_state(tmp_path / "state.sqlite")
    yield opened
    opened.close()


def system(port: int, **more: Any) -> MirrorSystem:
    given = {"sender": "soc@city.example", "to": ("truc@city.example",), "timeout": 2.0} | more
    return MirrorSystem(name="mail", kind="mail", url=f"smtp://127.0.0.1:{port}", **given)


def courier_of(state: State, one: MirrorSystem) -> Courier:
    settings = MirrorSettings(systems=(one,), hosts=("127.0.0.1",))
    check_settings(settings)
    know_mirrors(state, settings)
    return Courier(state, one, settings, make(one, settings), dice=lambda: 0.0)


def drain(courier: Courier) -> None:
    now = NOW
    for _ in range(10):
        while courier.turn(now):
            pass
        now += timedelta(minutes=1)


def test_a_ticket_is_one_thread(state: State, box: tuple[Box, int]) -> None:
    courier = courier_of(state, system(box[1]))
    take(state, [Given("f1", entity="pc-1")])
    who = Request(actor=OPERATOR, ticket="1")
    comment(state, who, text="đã xem", now=NOW)
    close(state, who, reason="benign_true_positive", note="vô hại", now=NOW)
    drain(courier)
    first, *rest = box[0].letters
    assert "Title of r1 — pc-1" in first["Subject"]
    assert [letter["In-Reply-To"] for letter in rest] == [first["Message-ID"]] * 2
    assert [letter["References"] for letter in rest] == [first["Message-ID"]] * 2
    assert [letter["Subject"] for letter in rest] == [f"Re: {first['Subject']}"] * 2
    assert len({letter["Message-ID"] for letter in box[0].letters}) == 3
    assert "đã xem" in rest[0].get_content()
    assert "cảnh báo đúng, vô hại" in rest[1].get_content()


def test_hostile_text_makes_no_header_and_stands_as_text(
    state: State, box: tuple[Box, int]
) -> None:
    courier = courier_of(state, system(box[1]))
    entity = "pc\r\nBcc: evil@evil.example\r\n\r\n\x1b[31m\u202e<b>x</b> http://evil.example"
    take(state, [Given("f1", entity=entity)])
    drain(courier)
    [letter] = box[0].letters
    assert letter["Bcc"] is None
    assert letter["To"] == "truc@city.example"
    whole = letter["Subject"] + letter.get_content()
    assert letter.get_content_type() == "text/plain"
    assert "⟦ESC⟧[31m⟦202E⟧" in whole
    assert "http[:]//evil.example" in whole
    assert not any(char in whole for char in "\x1b\u202e")
    assert [line for line in whole.splitlines() if line.startswith("Bcc")] == []


@pytest.mark.parametrize(
    ("said", "became"), [("451 try later", "sent"), ("552 too big", "dead")], ids=["later", "never"]
)
def test_a_servers_no_is_later_or_never(
    state: State, box: tuple[Box, int], said: str, became: str
) -> None:
    courier = courier_of(state, system(box[1]))
    box[0].answers = [said]
    take(state, [Given("f1")])
    drain(courier)
    with state.read() as session:
        assert [row.state for row in session.scalars(sa.select(Outbox))] == [became]


def test_a_repeat_has_the_same_message_id(state: State, box: tuple[Box, int]) -> None:
    courier = courier_of(state, system(box[1]))
    take(state, [Given("f1")])
    drain(courier)
    with state.begin() as session:
        session.execute(sa.update(Outbox).values(state="sending", due=NOW))
        session.execute(sa.text("delete from mirror_link"))
    drain(courier)
    assert len(box[0].letters) == 2
    assert len({letter["Message-ID"] for letter in box[0].letters}) == 1


def test_bad_settings_are_refused_all_at_once() -> None:
    one = system(25, sender="nobody", to=("a@b\nBcc: x@y",), user="u")
    with pytest.raises(FaultsError) as caught:
        check_settings(MirrorSettings(systems=(one,), hosts=("elsewhere",)))
    assert len(caught.value.faults) == 4
