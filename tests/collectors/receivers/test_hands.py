"""What a source may hold in memory while the spool does not take it."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from support.collector import LISTENERS, running, spooled, tally

from collectors.collect import PUSH_BACK_NAME
from collectors.receivers import hands
from collectors.receivers.hands import Hands
from pipeline.settings.values import CollectSettings

MB = 1 << 20


def test_a_source_may_hold_an_equal_part_of_what_there_is_for_all() -> None:
    held = Hands(total=60 * MB)
    assert held.room("a") == 60 * MB
    held.take("a", 40 * MB)
    assert (held.room("a"), held.room("b")) == (20 * MB, 30 * MB)
    held.take("b", 1)
    assert (held.room("a"), held.room("c")) == (-10 * MB, 20 * MB)
    held.give_back("b", 1)
    assert (held.room("a"), held.room("b")) == (20 * MB, 30 * MB)


def test_who_waits_is_called_when_there_is_room_and_no_more_than_fit() -> None:
    held, called = Hands(total=4 * MB), list[int]()
    held.take("a", 5 * MB)
    for number in range(30):
        held.wait("a", lambda n=number: called.append(n))  # type: ignore[misc]
    held.give_back("a", MB)
    assert called == []
    held.give_back("a", MB)
    assert called == [0, 1, 2, 3]  # a megabyte, of reads of 256 kB
    held.look()  # those had nothing to say
    assert called == list(range(8))


def test_one_that_sends_and_hangs_up_again_and_again_holds_no_more_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands.Hands.__init__, "__defaults__", (200_000,))
    monkeypatch.setattr(hands, "_LEAST", 100_000)
    line = b"<1>%07d " + b"x" * 1000 + b"\n"
    settings = CollectSettings(node="n1", listeners=LISTENERS)
    with running(tmp_path, settings) as collector:
        (tmp_path / PUSH_BACK_NAME).write_text("no room")
        while not collector.intake.push_back:
            time.sleep(0.01)
        senders = []
        for number in range(24):
            sender = socket.create_connection(
                ("127.0.0.1", collector.ports["tcp"]), source_address=("127.0.0.11", 0)
            )
            sender.settimeout(0.2)
            sent = 0
            try:
                while sent < 300:
                    sender.sendall(line % (1000 * number + sent))
                    sent += 1
            except TimeoutError:
                pass
            senders.append(sender)
        time.sleep(0.3)
        received = tally(collector, "tcp", "q1-fw")["received"]
        assert isinstance(received, int)
        assert received < 1000  # of 7,200: its part, and what was read before that was counted
        other = socket.create_connection(
            ("127.0.0.1", collector.ports["tcp"]), source_address=("127.0.0.12", 0)
        )
        with other:
            other.sendall(b"<1>of another\n")
            while not any(e["source"] == "q2-fw" for e in collector.snapshot()["counters"]):
                time.sleep(0.01)
        (tmp_path / PUSH_BACK_NAME).unlink()
        for sender in senders:
            sender.close()
        deadline = time.monotonic() + 20
        while len(spooled(tmp_path)) <= 24 * 300 and time.monotonic() < deadline:
            time.sleep(0.05)
    bodies = [one.body for one in spooled(tmp_path)]
    assert len(set(bodies)) == len(bodies) == 24 * 300 + 1
