"""Lines to records: audit events, texts of several lines; over files and over every transport."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.collector import LISTENERS, directory, running, spooled
from support.relp import RelpClient

from collectors.receivers import starts
from collectors.receivers.assembly import MOST_HELD, MOST_LINES, MOST_OPEN, Assembler
from pipeline.model.errors import UsageError
from pipeline.settings.values import CollectSettings


def line(kind: str, serial: int, text: str = "x=1") -> bytes:
    return f"type={kind} msg=audit(1795485600.123:{serial}): {text}".encode()


def audit(**more: int) -> Assembler[int]:
    return Assembler(None, seconds=2.0, size=more.get("size", 1 << 20))


def fed(assembler: Assembler[int], lines: list[bytes], now: float = 0.0) -> list[tuple[bytes, list[int]]]:  # fmt: skip
    return [tuple(one) for n, text in enumerate(lines) for one in assembler.feed(text, n, now)]


def test_lines_of_one_serial_are_one_record_also_when_others_come_between() -> None:
    lines = [line("SYSCALL", 1), line("SYSCALL", 2), line("CWD", 1), line("USER_LOGIN", 3),
             line("EOE", 2), line("EOE", 1)]  # fmt: skip
    assert fed(audit(), lines) == [
        (lines[3], [3]),
        (lines[1] + b"\n" + lines[4], [1, 4]),
        (b"\n".join([lines[0], lines[2], lines[5]]), [0, 2, 5]),
    ]


def test_a_proctitle_ends_an_event_unless_its_end_follows() -> None:
    lines = [line("SYSCALL", 1), line("PROCTITLE", 1), line("EOE", 1), line("SYSCALL", 2),
             line("PROCTITLE", 2), line("SYSCALL", 3)]  # fmt: skip
    assert [tags for _, tags in fed(audit(), lines)] == [[0, 1, 2], [3, 4]]


def test_time_lines_size_and_number_close_a_record() -> None:
    assembler = audit()
    fed(assembler, [line("SYSCALL", 1)], now=5.0)
    assert (assembler.due(6.9), [one.tags for one in assembler.due(7.0)]) == ([], [[0]])
    many = fed(assembler, [line("PATH", 9)] * (MOST_LINES + 1))
    assert [len(tags) for _, tags in many] == [MOST_LINES]
    assembler = audit()
    found = fed(assembler, [line("SYSCALL", n) for n in range(MOST_OPEN + 3)])
    assert [tags for _, tags in found] == [[0], [1], [2]]
    assembler = audit(size=1000)
    big = [line("PATH", 1, "y" * 600)] * 2
    assert [tags for _, tags in fed(assembler, big)] == [[0]]
    assembler = audit()
    for n in range(100):
        assembler.feed(line("PATH", n, "y" * 50_000), n, 0.0)
        assert assembler.held <= MOST_HELD


@given(st.lists(st.tuples(st.sampled_from(["SYSCALL", "PATH", "EOE", "USER_CMD", "PROCTITLE", ""]),
                          st.integers(0, 4), st.sampled_from(["feed", "due"]))))  # fmt: skip
def test_every_line_is_in_one_record_and_its_bytes_are_kept(
    steps: list[tuple[str, int, str]],
) -> None:
    assembler, now, lines = audit(), 0.0, []
    found = []
    for kind, serial, deed in steps:
        now += 0.7
        text = line(kind, serial) if kind else b"no audit line %d" % serial
        found += assembler.feed(text, len(lines), now)
        lines.append(text)
        found += assembler.due(now) if deed == "due" else []
    found += assembler.flush()
    assert sorted(tag for one in found for tag in one.tags) == list(range(len(lines)))
    assert all(one.body == b"\n".join(lines[tag] for tag in one.tags) for one in found)
    assert assembler.held == 0


@pytest.mark.parametrize(
    ("said", "lines", "records"),
    [
        ("java", ["2026 ERROR x", "java.lang.Error: y", "\tat z", "Caused by: w", "2026 next"], [4, 1]),
        ("indent", ["a", " b", "c"], [2, 1]),
        ("date", ["[2026-11-24 09:00] a", "b", "24/11/2026 c", "Nov 24 09:00:00 d"], [2, 1, 1]),
        ("re2:#\\d+ ", ["#1 a", "b", "#2 c"], [2, 1]),
        ("json", ["{", '"a": 1}', "{}"], [2, 1]),
    ],
)  # fmt: skip
def test_a_line_that_begins_a_record_closes_the_one_before(
    said: str, lines: list[str], records: list[int]
) -> None:
    starts.check(said)
    assembler: Assembler[int] = starts.assembler(said, seconds=2.0, size=10_000)
    found = [*fed(assembler, [one.encode() for one in lines]), *assembler.flush()]
    assert [len(tags) for _, tags in found] == records


@pytest.mark.parametrize("said", ["jav", "re2:", "re2:(?=a)", "re2:" + "a" * 600])
def test_what_cannot_be_used_to_assemble_is_refused_in_words(said: str) -> None:
    with pytest.raises(UsageError):
        starts.check(said)


AUDIT = [line("SYSCALL", 1), line("SYSCALL", 2), line("PATH", 1), line("EOE", 1), line("PATH", 2)]
WHOLE = [b"\n".join([AUDIT[0], AUDIT[2], AUDIT[3]]), b"\n".join([AUDIT[1], AUDIT[4]])]


def by_tcp(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.12", 0)) as s:
        s.sendall(b"".join(one + b"\n" for one in AUDIT))
        time.sleep(1.5)  # the time limit, not the end, makes the second one whole


def by_udp(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.12", 0))
        for one in AUDIT:
            s.sendto(one, ("127.0.0.1", port))


def by_relp(port: int) -> None:
    client = RelpClient(port, "127.0.0.12")
    client.open()
    client.send(AUDIT)
    client.read(0.3)
    assert (
        len(client.unacknowledged) == 4
    )  # the first is stored; the second is held, and what follows it
    client.settle(10)
    assert not client.unacknowledged


@pytest.mark.parametrize(("name", "send"), [("tcp", by_tcp), ("udp", by_udp), ("relp", by_relp)])
def test_audit_lines_are_assembled_and_none_is_acknowledged_before_it_is_stored(
    tmp_path: Path, name: str, send: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = directory()
    for key, identity in list(made._book._ranges.items()):
        made._book._ranges[key] = [
            (n, type(i)(i.source, i.agency, "auditd", weak=True)) for n, i in identity
        ]
    monkeypatch.setattr("support.collector.directory", lambda: made)
    settings = CollectSettings(node="n1", listeners=LISTENERS, assemble_seconds=0.5)
    with running(tmp_path, settings) as collector:
        send(collector.ports[name])
        deadline = time.monotonic() + 10
        while len(spooled(tmp_path)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
    found = spooled(tmp_path)
    assert [one.body for one in found] == WHOLE
    assert [one.identity for one in found] == [
        b"a\0\0" + b"1795485600.123:%d" % serial for serial in (1, 2)
    ]


def test_a_part_of_interleaved_audit_lines_that_comes_again_after_a_restart_is_not_stored_again(
    tmp_path: Path,
) -> None:
    head = b"type=%s msg=audit(1795485600.123:%d): a=%d"
    a1, b1, a2, b2 = (
        head % (kind, serial, n)
        for n, (kind, serial) in enumerate(
            [(b"SYSCALL", 7), (b"SYSCALL", 8), (b"EOE", 7), (b"EOE", 8)]
        )
    )
    settings = CollectSettings(node="n1", listeners=LISTENERS, assemble_seconds=5)
    with running(tmp_path, settings) as collector:
        client = RelpClient(collector.ports["relp"], "127.0.0.13")
        client.open()
        client.send([a1, b1, a2])
        while len(client.unacknowledged) > 2:
            client.read(0.1)
        # 7 is stored, and of 8 nothing: the answers to b1 and a2 are owed
        assert list(client.unacknowledged.values()) == [b1, a2]
    with running(tmp_path, settings) as collector:
        client.port = collector.ports["relp"]
        client.open()
        client.send([b2])
        client.settle()
    assert [one.body for one in spooled(tmp_path)] == [a1 + b"\n" + a2, b1 + b"\n" + b2]
    assert client.acknowledged == [a1, b1, a2, b2]
