"""What is not whole yet counts as in memory: all of it is bounded, and who begins much and ends nothing stops no other."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract.test_receiver_contract import until
from support import collector as support
from support.collector import running, spooled
from support.relp import frame

from collectors.collect import Collector
from collectors.receivers import hands
from collectors.receivers.directory import FixedDirectory, SourceIdentity
from collectors.receivers.hands import Hands

PIECE = b"x" * 50_000
BEGUN = {
    "a line": ("tcp", b"<1>" + PIECE),
    "counted octets": ("tcp", b"90000 <1>" + PIECE),
    "a frame of RELP": ("relp", frame(1, b"open", b"") + b"2 syslog 90000 <1>" + PIECE),
}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """300 kB for all that is unfinished, and as much for bodies."""
    monkeypatch.setattr(hands, "_LEAST", 100_000)
    known = support.directory()
    other = SourceIdentity("q2-web", "q2", "nginx")
    with running(tmp_path, known=_with_key(known, "other", other)) as collector:
        collector.intake.unfinished, collector.intake.bodies = Hands(300_000), Hands(300_000)
        yield collector


def _with_key(known: FixedDirectory, key: str, identity: SourceIdentity) -> FixedDirectory:
    more = FixedDirectory(secrets={key: ("secret", identity)})
    known._keys |= more._keys
    known._sources |= more._sources
    return known


def connect(collector: Collector, name: str, host: str) -> socket.socket:
    return socket.create_connection(
        ("127.0.0.1", collector.ports[name]), timeout=5, source_address=(host, 0)
    )


def noted(collector: Collector, name: str, source: str, what: str) -> int:
    return collector.intake.counters.of(name, source).notes.get(what, 0)


@pytest.mark.parametrize("kind", BEGUN)
def test_records_that_are_begun_and_never_ended_are_bounded_for_all_and_stop_no_other_source(
    small: Collector, tmp_path: Path, kind: str
) -> None:
    name, begun = BEGUN[kind]
    held = small.intake.unfinished._held
    with contextlib.ExitStack() as open_:
        for _ in range(12):  # 600 kB
            open_.enter_context(connect(small, name, "127.0.0.11")).sendall(begun)
        until(lambda: noted(small, name, "q1-fw", "unfinished_too_much") >= 6)
        assert 100_000 < held["q1-fw"] <= 300_000
        with connect(small, "tcp", "127.0.0.12") as other:
            other.sendall(b"<1>" + b"y" * 80_000)
            until(lambda: held["q2-fw"] > 80_000)
            # the first one's part is now the half of what there is
            until(lambda: held["q1-fw"] <= 150_000)
            other.sendall(b"\n")
            until(lambda: any(one.source == "q2-fw" for one in spooled(tmp_path)))
    until(lambda: not held)


def test_lines_that_wait_for_others_count_too_and_wait_no_longer_when_there_are_too_many(
    small: Collector, tmp_path: Path
) -> None:
    text = b"2026-11-24 09:00:00 begins\n" + (b"  at " + b"x" * 95 + b"\n") * 480
    with contextlib.ExitStack() as open_:
        for _ in range(9):  # 430 kB
            open_.enter_context(connect(small, "tcp", "127.0.0.14")).sendall(text)
        until(lambda: noted(small, "tcp", "q1-java", "assembled_early") >= 1)
    until(lambda: sum(len(one.body) + 1 for one in spooled(tmp_path)) == 9 * len(text))
    assert noted(small, "tcp", "q1-java", "unfinished_too_much") == 0


def test_bodies_that_never_end_take_what_is_their_sources_part_and_another_source_gets_through(
    small: Collector, tmp_path: Path
) -> None:
    def head(key: str, source: str, size: int) -> bytes:
        import base64

        said = base64.b64encode(key.encode()).decode()
        return (
            f"POST /ingest/{source} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {said}\r\n"
            f"Content-Length: {size}\r\n\r\n"
        ).encode()

    held = small.intake.bodies._held
    with contextlib.ExitStack() as open_:
        for _ in range(9):  # each says sixty megabytes, and sends fifty kilobytes of it
            sender = open_.enter_context(connect(small, "http", "127.0.0.11"))
            sender.sendall(head(support.KEY_TEXT, "q1-web", 60_000_000) + PIECE)
        until(lambda: noted(small, "http", "q1-web", "bodies_in_hand") >= 3)
        assert held["q1-web"] <= 300_000
        with connect(small, "http", "127.0.0.12") as other:
            other.sendall(head("other:secret", "q2-web", 60_000) + b"y" * 60_000)
            assert other.recv(100).startswith(b"HTTP/1.1 200")
    until(lambda: not held)
    assert [one.source for one in spooled(tmp_path)] == ["q2-web"]
