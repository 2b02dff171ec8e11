"""Notices by mail, through a real SMTP server on this machine: once each, whatever the server does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from support.findings import NOW, Given, take
from support.mailbox import Box
from support.people import analyst

from pipeline.access import people
from pipeline.model.clock import EPOCH
from pipeline.model.scope import OPERATOR
from pipeline.serve.mail.notices import NoticePost
from pipeline.settings.values import AlarmMail
from pipeline.state.state import State
from pipeline.state.tables.desk import Notice
from pipeline.state.tables.register import Agency
from pipeline.state.tables.tickets import Ticket
from pipeline.tickets.notices import Wish, notices_once, set_wish


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def post(box: Box, state: State) -> Iterator[NoticePost]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    mail = AlarmMail(host="127.0.0.1", port=port, sender="tc@example.vn", timeout=5.0)
    yield NoticePost(state, mail, "https://canh.example.vn")
    server.stop()


@pytest.fixture(autouse=True)
def news(state: State) -> None:
    with state.begin() as session:
        session.add(Agency(id="ward-1", name_vi="Phường 1", name_en="Ward 1", valid_from=EPOCH))
    for person, language in (("an", "vi"), ("chi", "en"), ("ha", "vi")):
        people.add(
            state, OPERATOR, person=person, name=person, role="analyst", language=language, now=NOW
        )
    set_wish(state, analyst("an"), Wish(mail="an@example.vn"))
    set_wish(state, analyst("chi"), Wish(mail="chi@example.vn"))
    take(state, [Given("a", level="critical")])
    with state.begin() as session:
        session.scalars(sa.select(Ticket)).one().title = "Bcc: x@y\r\n\r\nlừa \u202edảo"
    assert notices_once(state, now=NOW)


def test_each_reader_gets_one_mail_in_their_language(
    state: State, post: NoticePost, box: Box
) -> None:
    for _ in range(3):
        post.send_all(NOW)
    assert [(mail["to"], mail["subject"], mail["bcc"]) for mail in box.mails] == [
        ("an@example.vn", "[Tháp Canh] Phiếu nghiêm trọng mới: #1", None),
        ("chi@example.vn", "[Tháp Canh] A new critical ticket: #1", None),
    ]
    assert box.mails[0].get_content().splitlines() == [
        "Phiếu nghiêm trọng mới.", "", "Phiếu: #1", "Bcc: x@y lừa dảo", "Đơn vị: Phường 1",
        "Mức độ: Nghiêm trọng", "", "Xem: https://canh.example.vn/tickets/1", "TLP:AMBER",
    ]  # fmt: skip
    with state.read() as session:
        mails = session.execute(sa.select(Notice.person, Notice.mail).order_by(Notice.person))
        assert [tuple(row) for row in mails] == [("an", "sent"), ("chi", "sent"), ("ha", "none")]


def test_a_server_that_refuses_is_tried_again_and_given_up_after_days(
    state: State, post: NoticePost, box: Box
) -> None:
    box.refusing = True
    post.send_all(NOW)
    box.refusing = False
    post.send_all(NOW)  # it is the other's turn; the first waits
    assert [mail["to"] for mail in box.mails] == ["chi@example.vn"]
    post.send_all(NOW + timedelta(minutes=5))
    assert [mail["to"] for mail in box.mails] == ["chi@example.vn", "an@example.vn"]


def test_of_a_red_ticket_the_number_alone_goes_out(
    state: State, post: NoticePost, box: Box
) -> None:
    with state.begin() as session:
        session.scalars(sa.select(Ticket)).one().tlp = "red"
    post.send_all(NOW)
    assert [("lừa" in mail.get_content(), "#1" in mail.get_content()) for mail in box.mails] == [
        (False, True), (False, True),
    ]  # fmt: skip
