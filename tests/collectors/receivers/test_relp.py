"""RELP: answered only when on disk, and a session cut off anywhere leaves each record stored once."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

import pytest
from support import collector as support
from support.collector import running, spooled, tally
from support.relp import RelpClient, frame

from collectors.collect import PUSH_BACK_NAME
from collectors.receivers import relp
from pipeline.settings.values import CollectSettings


def bodies(root: Path) -> list[bytes]:
    return [record.body for record in spooled(root)]


def test_each_record_is_answered_when_it_is_on_disk_and_close_is_answered_last(
    tmp_path: Path,
) -> None:
    records = [b"<1>%d" % i for i in range(300)]
    with running(tmp_path) as collector:
        client = RelpClient(collector.ports["relp"])
        client.open()
        client.send(records)
        client.settle()
        assert client.acknowledged == bodies(tmp_path) == records
        client.send([b"<1>last"])
        said = client.close()
        assert said.endswith(b"302 rsp 6 200 OK\n303 rsp 0\n0 serverclose 0\n")
        counted = tally(collector, "relp", "q1-fw")
        assert (counted["acknowledged"], counted["spooled"], counted["repeated"]) == (301, 301, 0)


def test_what_is_not_relp_or_does_not_begin_with_open_is_closed_and_counted(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        for stream in (b"<34>plain syslog\n", frame(1, b"syslog", b"<1>too early")):
            with socket.create_connection(
                ("127.0.0.1", collector.ports["relp"]), source_address=("127.0.0.11", 0)
            ) as sender:
                sender.sendall(stream)
                with contextlib.suppress(ConnectionResetError):
                    assert sender.recv(100) == b""
        assert tally(collector, "relp", "q1-fw")["notes"] == {"bad_framing": 1, "not_opened": 1}
    assert bodies(tmp_path) == []


def test_a_command_that_is_not_offered_is_refused_and_the_session_goes_on(tmp_path: Path) -> None:
    with (
        running(tmp_path) as collector,
        socket.create_connection(
            ("127.0.0.1", collector.ports["relp"]), source_address=("127.0.0.11", 0)
        ) as sender,
    ):
        sender.sendall(
            frame(1, b"open", b"relp_version=0\ncommands=syslog,starttls")
            + frame(2, b"starttls", b"")
            + frame(3, b"syslog", b"<1>x")
            + frame(4, b"close", b"")
        )
        said = b""
        while data := sender.recv(1000):
            said += data
    _, _, after = said.partition(b"commands=syslog\n")
    assert after == (
        b"2 rsp 31 500 this command is not offered\n3 rsp 6 200 OK\n4 rsp 0\n0 serverclose 0\n"
    )
    assert bodies(tmp_path) == [b"<1>x"]


RECORDS = [b"<1>%d" % i for i in range(6)]
STREAM_LENGTH = sum(len(frame(i + 2, b"syslog", r)) for i, r in enumerate(RECORDS))


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_cut_off_at_every_byte_and_sent_again_each_record_is_stored_once(
    tmp_path: Path, reset: bool
) -> None:
    sent: list[bytes] = []
    with running(tmp_path) as collector:
        client = RelpClient(collector.ports["relp"])
        for cut in range(STREAM_LENGTH + 1):
            records = [b"<1>%d.%d" % (cut, i) for i in range(len(RECORDS))]
            client.open()
            client.send(records, upto=cut)
            sent += records
            if cut % 3 == 0:
                time.sleep(0.002)  # now and then some answers are under way
            client.cut(reset=reset)
        client.settle()
        counted = tally(collector, "relp", "q1-fw")
    assert bodies(tmp_path) == sent
    assert client.acknowledged == sent
    assert counted["spooled"] == len(sent)
    assert counted["received"] == len(sent)


def test_a_replay_that_is_cut_off_again_and_again_is_recognised_when_it_is_whole(
    tmp_path: Path,
) -> None:
    records = [b"<1>%d" % i for i in range(50)]
    with running(tmp_path) as collector:
        client = RelpClient(collector.ports["relp"])
        client.open()
        client.send(records)
        _until_spooled(tmp_path, 50)
        client.cut(reset=True)
        for length in (1, 7, 30, 49):
            part = b"".join(frame(i + 2, b"syslog", r) for i, r in enumerate(records[:length]))
            with socket.create_connection(
                ("127.0.0.1", collector.ports["relp"]), source_address=("127.0.0.11", 0)
            ) as again:
                again.sendall(frame(1, b"open", b"commands=syslog") + part)
                again.recv(1000)
                time.sleep(0.02)
        client.open()
        client.send([b"<1>new"])
        client.settle()
    assert bodies(tmp_path) == [*records, b"<1>new"]


def test_equal_records_are_stored_as_often_as_they_are_sent(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        for _ in range(3):  # sessions that end in order
            client = RelpClient(collector.ports["relp"])
            client.open()
            client.send([b"<1>alive"] * 4)
            client.settle()
            client.close()
        for _ in range(
            3
        ):  # and some that the client leaves without a word: the line is known to repeat
            client = RelpClient(collector.ports["relp"])
            client.open()
            client.send([b"<1>alive"] * 4)
            client.settle()
            client.cut()
            time.sleep(0.2)
        first, second = (RelpClient(collector.ports["relp"]) for _ in range(2))
        for client in (first, second):  # two sessions at a time
            client.open()
            client.send([b"<1>alive"])
        for client in (first, second):
            client.settle()
        assert tally(collector, "relp", "q1-fw")["repeated"] == 0
    assert bodies(tmp_path) == [b"<1>alive"] * 26


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_what_a_proxy_was_told_before_it_ended_the_session_in_order_is_stored_once_when_it_comes_again(
    tmp_path: Path, restarted: bool
) -> None:
    records = [b"<1>%d" % i for i in range(50)]
    with running(tmp_path) as collector:
        client = RelpClient(collector.ports["relp"])
        client.open()
        client.send(records)
        client.lose_answers(50)
        client.cut()
        if not restarted:
            client.open()
            client.send([b"<1>new", b"<1>49"])
            client.settle()
            assert tally(collector, "relp", "q1-fw")["repeated"] == 50
    if restarted:
        with running(tmp_path) as collector:
            client.port = collector.ports["relp"]
            client.open()
            client.send([b"<1>new", b"<1>49"])
            client.settle()
            assert tally(collector, "relp", "q1-fw")["repeated"] == 50
    assert bodies(tmp_path) == [*records, b"<1>new", b"<1>49"]


def test_what_comes_again_while_a_proxy_holds_the_lost_session_open_is_stored_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relp, "ALIVE", 0.3)
    records = [b"<1>%d" % i for i in range(50)]
    with running(tmp_path) as collector:
        client = RelpClient(collector.ports["relp"])
        client.open()
        client.send(records)
        client.lose_answers(50)
        held, client._socket = client._socket, None
        client.open()
        client.send([b"<1>new"])
        client.settle()
        assert held is not None
        held.close()
    assert bodies(tmp_path) == [*records, b"<1>new"]


def test_a_second_session_that_begins_with_the_other_ones_last_record_is_new_if_that_one_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relp, "ALIVE", 0.5)
    with running(tmp_path) as collector:
        first, second = (RelpClient(collector.ports["relp"]) for _ in range(2))
        first.open()
        first.send([b"<1>before", b"<1>alive"])
        first.settle()
        second.open()
        second.send([b"<1>alive"])
        time.sleep(0.2)
        first.send([b"<1>after"])
        second.settle()
        first.settle()
    assert sorted(bodies(tmp_path)) == [b"<1>after", b"<1>alive", b"<1>alive", b"<1>before"]


def test_equal_records_whose_session_was_cut_before_any_answer_are_stored_once(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as collector:
        client = RelpClient(collector.ports["relp"])
        client.open()
        (tmp_path / PUSH_BACK_NAME).write_text("no room")
        _until(lambda: bool(collector.intake.push_back))
        client.send([b"<1>same"] * 10)
        _until(lambda: tally(collector, "relp", "q1-fw")["received"] == 10)
        client.open()  # while the first ten still wait for room
        (tmp_path / PUSH_BACK_NAME).unlink()
        client.settle()
        assert len(client.acknowledged) == 10
    assert bodies(tmp_path) == [b"<1>same"] * 10


def test_a_replay_is_recognised_after_a_restart_from_the_spool(tmp_path: Path) -> None:
    records = [b"<1>%d" % i for i in range(200)]
    with running(tmp_path) as collector:
        client = RelpClient(collector.ports["relp"])
        client.open()
        client.send(records)
        _until_spooled(tmp_path, 200)  # and no answer was read
    with running(tmp_path) as collector:
        client.port = collector.ports["relp"]
        client.open()
        client.send([b"<1>new"])
        client.settle()
        assert tally(collector, "relp", "q1-fw")["repeated"] == 200
    assert bodies(tmp_path) == [*records, b"<1>new"]
    assert client.acknowledged == [*records, b"<1>new"]


def test_a_session_closed_in_order_is_known_to_be_closed_after_a_restart(tmp_path: Path) -> None:
    for _ in range(3):
        with running(tmp_path) as collector:
            client = RelpClient(collector.ports["relp"])
            client.open()
            client.send([b"<1>alive"])
            client.settle()
            client.close()
    assert bodies(tmp_path) == [b"<1>alive"] * 3


def test_the_same_records_from_another_address_are_new(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        for host in ("127.0.0.11", "127.0.0.12"):
            client = RelpClient(collector.ports["relp"], host)
            client.open()
            client.send([b"<1>a", b"<1>b"])
            client.settle()
            client.cut(reset=True)
    assert [(r.source, r.body) for r in spooled(tmp_path)] == [
        ("q1-fw", b"<1>a"), ("q1-fw", b"<1>b"), ("q2-fw", b"<1>a"), ("q2-fw", b"<1>b")
    ]  # fmt: skip


def test_a_client_that_does_not_read_its_answers_is_not_read_either(tmp_path: Path) -> None:
    settings = CollectSettings(node="n1", listeners=support.LISTENERS)
    with running(tmp_path, settings) as collector:
        client = RelpClient(collector.ports["relp"])
        client.open()
        assert client._socket is not None
        client._socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            for _ in range(1000):
                client.send([b"<1>x"] * 1000)
        received = tally(collector, "relp", "q1-fw")["received"]
        assert isinstance(received, int)
        assert received < 1_000_000
        client.cut(reset=True)


def _until_spooled(root: Path, count: int) -> None:
    _until(lambda: len(spooled(root)) >= count)


def _until(condition: object, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)
