"""Logs that are turned while a look at them is under way: between their finding, their recognition and their reading."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from support.tailing import Tailing

from collectors.tail import scan


def lines(*numbers: int) -> bytes:
    return b"".join(b"%d a line of the log, number %d\n" % (n, n) for n in numbers)


def bodies(*numbers: int) -> list[bytes]:
    return lines(*numbers).splitlines()


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


@pytest.mark.parametrize("emptied", [False, True])
def test_a_copy_that_is_made_in_the_middle_of_a_look_is_no_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emptied: bool
) -> None:
    t, look = Tailing(tmp_path), scan._look
    log, copy = t.logs / "app.log", t.logs / "app.log.1"
    append(log, lines(1, 2))
    t.turn()
    copy.touch()

    def copying(path: str, root: str, troubles: dict[str, str]) -> scan.Found | None:
        if path == str(copy) and not copy.stat().st_size:  # its log was looked at already
            append(log, lines(3))
            copy.write_bytes(log.read_bytes())
            if emptied:
                os.truncate(log, 0)
        return look(path, root, troubles)

    monkeypatch.setattr(scan, "_look", copying)
    t.turn()
    os.truncate(log, 0)
    append(log, lines(4))
    t.settle()
    assert sorted(t.bodies) == bodies(1, 2, 3, 4)


@pytest.mark.parametrize("dies", ["", "before", "between", "after"])
@pytest.mark.parametrize("long", [1, 200])
def test_a_line_that_is_read_between_the_copying_and_the_emptying_makes_the_copy_no_other_file(
    tmp_path: Path, dies: str, long: int
) -> None:
    t = Tailing(tmp_path)
    log, first = t.logs / "app.log", range(long)
    append(log, lines(*first))
    t.turn()
    shutil.copy(log, t.logs / "app.log.1")
    for late in (1001, 1002, 1003):
        append(log, lines(late))  # is in no copy
        t.killed_after = int(dies == "before")  # SIGKILL between the store and the checkpoint
        t.turn()
    t.killed_after = 0
    if dies == "between":
        t.kill()
    os.truncate(log, 0)
    t.turn()
    if dies == "after":
        t.kill()
    append(log, lines(2001))
    t.settle()
    t.kill()
    t.settle()
    assert sorted(t.bodies) == sorted(bodies(*first, 1001, 1002, 1003, 2001))


def test_a_look_that_takes_long_does_not_count_as_the_time_that_a_copy_stood_beside_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    t, find = Tailing(tmp_path), scan.find
    log = t.logs / "app.log"
    append(log, lines(1, 2))
    t.turn()

    def slow(patterns: tuple[str, ...], troubles: dict[str, str]) -> dict[str, scan.Found]:
        t.now += 60.0  # the machine, or an NFS server, stands still after `now` was taken
        if not (t.logs / "app.log.1").exists():
            shutil.copy(log, t.logs / "app.log.1")
        return find(patterns, troubles)

    monkeypatch.setattr(scan, "find", slow)
    t.turn(0.1)
    monkeypatch.setattr(scan, "find", find)
    t.turn(0.1)
    os.truncate(log, 0)
    append(log, lines(3))
    t.settle()
    assert sorted(t.bodies) == bodies(1, 2, 3)


@pytest.mark.parametrize("after", [1, 500], ids=["shorter", "longer"])
@pytest.mark.parametrize("known", [False, True])
def test_what_is_copied_emptied_and_written_to_between_its_recognition_and_its_reading_is_all_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool, after: int
) -> None:
    t = Tailing(tmp_path)
    log, read, later = t.logs / "app.log", t.tailer._read, range(1000, 1000 + after)
    if known:
        append(log, lines(1))
        t.turn()
    append(log, lines(2, 3))

    def turned(*given: object) -> bool:
        monkeypatch.setattr(t.tailer, "_read", read)
        shutil.copy(log, t.logs / "app.log.1")
        os.truncate(log, 0)
        append(log, lines(*later))
        return read(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(t.tailer, "_read", turned)
    t.turn()
    t.settle()
    assert sorted(t.bodies) == sorted(bodies(*([1] if known else []), 2, 3, *later))


def test_what_is_emptied_while_it_is_recognised_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    t, log = Tailing(tmp_path), tmp_path / "logs" / "app.log"
    append(log, lines(*range(100)))
    new = t.tailer._new

    def emptied(*given: object, **named: bool) -> object:
        monkeypatch.setattr(t.tailer, "_new", new)
        shutil.copy(log, t.logs / "app.log.1")
        os.truncate(log, 0)
        append(log, lines(2001))
        return new(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(t.tailer, "_new", emptied)
    t.turn()
    t.settle()
    assert sorted(t.bodies) == sorted(bodies(*range(100), 2001))
