"""Alarms by mail, through a real SMTP server on this machine."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from support.mailbox import Box

from pipeline.model.clock import EPOCH
from pipeline.model.errors import FaultsError, UsageError
from pipeline.serve.mail.alarms import AlarmPost, check
from pipeline.settings.load import load_settings
from pipeline.settings.values import AlarmMail
from pipeline.state.alarms import close_alarm, raise_alarm
from pipeline.state.state import State

NOW = EPOCH + timedelta(days=1)
LATER = NOW + timedelta(minutes=10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def server(box: Box) -> Iterator[Controller]:
    found = Controller(box, hostname="127.0.0.1", port=free_port())
    found.start()
    yield found
    found.stop()


def setting(port: int, **more: Any) -> AlarmMail:
    return AlarmMail(
        host="127.0.0.1", port=port, sender="tc@example.vn", to=("soc@example.vn", "b@example.vn"),
        timeout=5.0, **more,
    )  # fmt: skip


OPENED = ("[Tháp Canh] BÁO ĐỘNG · ALARM: flow:runs:main", "no run while 9 wait")
CLOSED = ("[Tháp Canh] Đã hết · Over: flow:runs:main", "no run while 9 wait")


def test_an_alarm_is_told_once_when_it_opens_and_once_when_it_is_over_whoever_looks(
    state: State, box: Box, server: Controller
) -> None:
    posts = [AlarmPost(state, setting(server.port)) for _ in range(2)]
    raise_alarm(state, "flow:runs:main", "no run while 9 wait", now=NOW)
    for post in posts * 2:
        post.send_all(NOW)
    raise_alarm(state, "flow:runs:main", "no run while 9 wait", now=LATER)  # seen again
    posts[1].send_all(LATER)
    assert box.told() == [OPENED]
    assert (box.mails[0]["from"], box.mails[0]["to"]) == (
        "tc@example.vn", "soc@example.vn, b@example.vn",
    )  # fmt: skip
    close_alarm(state, "flow:runs:main", now=LATER)
    for post in posts * 2:
        post.send_all(LATER)
    assert box.told() == [OPENED, CLOSED]


def test_what_the_mail_server_refuses_is_tried_again_until_it_is_taken(
    state: State, box: Box, server: Controller
) -> None:
    post = AlarmPost(state, setting(server.port))
    raise_alarm(state, "flow:runs:main", "no run while 9 wait", now=NOW)
    box.refusing = True
    post.send_all(NOW)
    box.refusing = False
    post.send_all(NOW)  # not at once
    assert box.told() == []
    post.send_all(NOW + timedelta(seconds=5))
    assert box.told() == [OPENED]


def test_one_that_was_over_before_any_mail_went_out_is_told_once_and_old_news_never(
    state: State, box: Box, server: Controller
) -> None:
    AlarmPost(state, setting(free_port())).send_all(NOW)
    for key, ended in (("old", NOW), ("flow:runs:main", NOW + timedelta(days=2))):
        raise_alarm(state, key, "no run while 9 wait", now=NOW)
        close_alarm(state, key, now=ended)
    AlarmPost(state, setting(server.port)).send_all(NOW + timedelta(days=2, hours=1))
    assert box.told() == [CLOSED]


def test_the_supervisor_tells_of_a_state_that_is_away_and_of_its_return(
    state: State, box: Box, server: Controller
) -> None:
    post = AlarmPost(state, setting(server.port))
    post.tell("state", "the state cannot be written: disk full", now=NOW)
    post.tell("state", "the state cannot be written: disk full", now=NOW)
    post.send_all(NOW)
    post.tell("state", "", now=LATER)
    post.send_all(LATER)
    post.tell("state", "", now=LATER)
    post.send_all(LATER)
    words = "the state cannot be written: disk full"
    assert box.told() == [
        ("[Tháp Canh] BÁO ĐỘNG · ALARM: state", words),
        ("[Tháp Canh] Đã hết · Over: state", words),
    ]


def test_line_breaks_in_a_key_or_message_cannot_write_headers(
    state: State, box: Box, server: Controller
) -> None:
    raise_alarm(state, "x\r\nBcc: evil@example.org", "a\r\nb", now=NOW)
    AlarmPost(state, setting(server.port)).send_all(NOW)
    (mail,) = box.mails
    assert (mail["bcc"], mail["to"]) == (None, "soc@example.vn, b@example.vn")


@pytest.mark.filterwarnings(
    "ignore:Requiring AUTH while not requiring TLS:UserWarning"
)  # on purpose
def test_the_password_is_read_where_it_is_used_and_never_logged(
    state: State, box: Box, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def login(_server: Any, _session: Any, _envelope: Any, _kind: str, data: Any) -> AuthResult:
        good = data == LoginPassword(b"tc", b"s3cret-word")
        return AuthResult(success=good)

    server = Controller(
        box, hostname="127.0.0.1", port=free_port(),
        authenticator=login, auth_required=True, auth_require_tls=False,
    )  # fmt: skip
    server.start()
    caplog.set_level(logging.INFO)
    try:
        secret = tmp_path / "password"
        secret.write_text("wrong-s3cret\n")
        post = AlarmPost(state, setting(server.port, user="tc", password=f"file:{secret}"))
        raise_alarm(state, "flow:runs:main", "no run while 9 wait", now=NOW)
        post.send_all(NOW)
        assert box.told() == []
        secret.write_text("s3cret-word\n")
        post.send_all(LATER)
    finally:
        server.stop()
    assert box.told() == [OPENED]
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    "change", [{"sender": ""}, {"to": ()}, {"to": ("a@b.vn, c@d.vn",)}, {"host": "mail.vn", "user": "u"}]
)  # fmt: skip
def test_settings_with_which_no_alarm_could_go_out_are_refused(change: dict[str, Any]) -> None:
    import dataclasses

    check(setting(25))
    check(AlarmMail())
    with pytest.raises(UsageError):
        check(dataclasses.replace(setting(25), **change))


def test_they_are_settings_of_the_file_as_all_others(tmp_path: Path) -> None:
    (tmp_path / "thapcanh.yml").write_text(
        "alarms:\n  mail: {host: m.vn, port: 587, sender: a@b.vn, to: [c@d.vn], starttls: true}\n"
    )
    assert load_settings(tmp_path, {}).alarms.mail == AlarmMail(
        host="m.vn", port=587, sender="a@b.vn", to=("c@d.vn",), starttls=True
    )
    with pytest.raises(FaultsError):
        load_settings(tmp_path, {"THAPCANH__ALARMS__MAIL": "{hots: m.vn}"})
