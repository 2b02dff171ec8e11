"""Files that grow, turn, are emptied, copied, packed: each line of each content is in the spool once."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from support.tailing import Tailing

from collectors.tail import scan
from collectors.tail.follower import Ways


def lines(*numbers: int) -> bytes:
    return b"".join(b"%d a line of the log, number %d\n" % (n, n) for n in numbers)


def bodies(*numbers: int) -> list[bytes]:
    return lines(*numbers).splitlines()


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_lines_are_read_as_they_come_and_their_bytes_are_kept(tmp_path: Path) -> None:
    t = Tailing(tmp_path)
    log = t.logs / "app.log"
    append(log, b"one\r\n\n  two \xff\x00\x80\n")
    t.turn()
    append(log, b"thr")
    t.turn()
    append(log, b"ee\n")
    t.turn()
    assert t.bodies == [b"one", b"  two \xff\x00\x80", b"three"]
    assert [int.from_bytes(r.identity[18:], "big") for r in t.records] == [0, 6, 16]
    assert len({r.identity[:18] for r in t.records}) == 1


def test_a_last_line_without_its_end_waits_and_then_is_a_record(tmp_path: Path) -> None:
    t = Tailing(tmp_path)
    append(t.logs / "a", b"half")
    t.turn()
    assert t.bodies == []
    t.turn(5.0)
    assert t.bodies == [b"half"]
    append(t.logs / "a", b" and half\nnext\n")
    t.turn()
    assert t.bodies == [b"half", b" and half", b"next"]


def test_a_line_beyond_the_limit_is_cut_and_its_rest_skipped_also_over_a_restart(
    tmp_path: Path,
) -> None:
    t = Tailing(tmp_path, ways=Ways(record=100))
    append(t.logs / "a", b"x" * 250)
    t.turn()
    t.kill()
    append(t.logs / "a", b"y" * 250 + b"\nnext\n")
    t.turn()
    assert t.bodies == [b"x" * 100, b"next"]


def test_a_file_that_is_renamed_goes_on_and_the_new_one_begins(tmp_path: Path) -> None:
    t = Tailing(tmp_path)
    log = t.logs / "app.log"
    append(log, lines(1, 2))
    t.turn()
    log.rename(t.logs / "app.log.1")
    append(t.logs / "app.log.1", lines(3))
    append(log, lines(4))
    t.turn()
    t.kill()
    (t.logs / "app.log.1").rename(t.logs / "app.log.2")
    t.settle()
    assert sorted(t.bodies) == bodies(1, 2, 3, 4)


def test_a_file_that_leaves_the_pattern_is_read_to_its_end(tmp_path: Path) -> None:
    t = Tailing(tmp_path, "*.log")
    log = t.logs / "app.log"
    append(log, lines(1))
    t.turn()
    append(log, lines(2))
    log.rename(t.logs / "app.old")
    append(log, lines(3))
    append(t.logs / "app.old", lines(4))
    t.settle()
    assert sorted(t.bodies) == bodies(1, 2, 3, 4)


@pytest.mark.parametrize("seen_between", [False, True])
def test_a_copy_of_a_file_that_is_emptied_is_read_on_from_where_that_was_left(
    tmp_path: Path, seen_between: bool
) -> None:
    t = Tailing(tmp_path)
    log = t.logs / "app.log"
    append(log, lines(1, 2))
    t.turn()
    append(log, lines(3))
    shutil.copy(log, t.logs / "app.log.1")
    if seen_between:
        t.turn()
    os.truncate(log, 0)
    t.turn()
    append(log, lines(4, 5, 6, 7, 8))
    t.settle()
    assert sorted(t.bodies) == bodies(1, 2, 3, 4, 5, 6, 7, 8)


def test_a_file_that_is_emptied_and_longer_again_at_once_is_told_by_what_it_holds(
    tmp_path: Path,
) -> None:
    t = Tailing(tmp_path)
    log = t.logs / "app.log"
    append(log, lines(1, 2))
    t.turn()
    os.truncate(log, 0)
    append(log, lines(3, 4, 5, 6))
    t.turn()
    assert t.bodies == bodies(1, 2, 3, 4, 5, 6)


def test_the_same_text_after_an_emptying_is_another_event(tmp_path: Path) -> None:
    t = Tailing(tmp_path)
    append(t.logs / "a", b"started\n")
    t.turn()
    os.truncate(t.logs / "a", 0)
    t.turn()
    append(t.logs / "a", b"started\n")
    t.settle()
    assert t.bodies == [b"started", b"started"]
    assert len({r.identity for r in t.records}) == 2


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, zstandard.compress])
@pytest.mark.parametrize("missed", [(), (3, 4)])
def test_a_packed_rotation_gives_only_what_was_missed(
    tmp_path: Path, pack: Callable[[bytes], bytes], missed: tuple[int, ...]
) -> None:
    t = Tailing(tmp_path)
    log = t.logs / "app.log"
    append(log, lines(1, 2))
    t.turn()
    t.tailer.close()  # the collector is down while the log is turned
    append(log, lines(*missed))
    (t.logs / "app.log.1.gz").write_bytes(pack(log.read_bytes()))
    log.unlink()
    append(log, lines(5))
    t.start()
    t.settle()
    t.kill()
    t.settle()
    assert sorted(t.bodies) == bodies(1, 2, *missed, 5)


def test_a_packed_file_of_which_nothing_was_read_is_read_whole_and_once(tmp_path: Path) -> None:
    t = Tailing(tmp_path)
    (t.logs / "old.gz").write_bytes(gzip.compress(lines(*range(2000)) + b"end"))
    t.settle()
    (t.logs / "old.gz").rename(t.logs / "older.gz")
    t.kill()
    t.settle()
    assert t.bodies == [*bodies(*range(2000)), b"end"]


def test_a_packed_file_that_is_damaged_gives_what_stands_before_and_is_named(
    tmp_path: Path,
) -> None:
    t = Tailing(tmp_path)
    whole = gzip.compress(os.urandom(30_000).hex().encode() + b"\n")
    (t.logs / "a.gz").write_bytes(gzip.compress(lines(1, 2)) + whole[: len(whole) // 2])
    troubles = set()
    for _ in range(10):
        t.turn(3.0)
        troubles |= set(t.tailer.troubles)
    assert t.bodies[:2] == bodies(1, 2)
    assert troubles == {str(t.logs / "a.gz")}


def test_killed_between_the_store_and_the_checkpoint_nothing_comes_twice(tmp_path: Path) -> None:
    t = Tailing(tmp_path)
    append(t.logs / "a", lines(1, 2))
    t.turn()
    append(t.logs / "a", lines(3, 4))
    t.killed_after = 1
    t.turn()
    append(t.logs / "a", lines(5))
    t.settle()
    assert t.bodies == bodies(1, 2, 3, 4, 5)


def test_several_lines_make_one_record(tmp_path: Path) -> None:
    t = Tailing(tmp_path, assemble="date")
    append(t.logs / "a", b"2026-11-24 one\n  at x\r\n\n  at y\r\n2026-11-24 two\n")
    t.turn()
    assert t.bodies == [b"2026-11-24 one\n  at x\r\n\n  at y"]
    t.kill()
    append(t.logs / "a", b"  at z\n")
    t.turn()
    t.turn(2.0)
    assert t.bodies == [b"2026-11-24 one\n  at x\r\n\n  at y", b"2026-11-24 two\n  at z"]


def test_audit_lines_of_one_event_are_one_record_whatever_comes_between_and_dies(
    tmp_path: Path,
) -> None:
    def line(kind: str, serial: int) -> bytes:
        return b"type=%s msg=audit(1795485600.123:%d): x=1" % (kind.encode(), serial)

    t = Tailing(tmp_path, assemble="audit")
    log = t.logs / "audit.log"
    append(log, b"\n".join([line("SYSCALL", 1), line("SYSCALL", 2), line("PATH", 1), b""]))
    t.turn(0.5)
    append(log, b"\n".join([line("PATH", 2), line("EOE", 2), line("USER_LOGIN", 3), b""]))
    t.killed_after = 1
    t.turn(0.5)
    append(log, b"\n".join([line("EOE", 1), b"no audit", b""]))
    t.settle()
    expected = [
        [line("SYSCALL", 2), line("PATH", 2), line("EOE", 2)],
        [line("USER_LOGIN", 3)],
        [line("SYSCALL", 1), line("PATH", 1), line("EOE", 1)],
        [b"no audit"],
    ]
    assert t.bodies == [b"\n".join(one) for one in expected]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_wide_text_is_cut_at_its_own_line_ends(tmp_path: Path, encoding: str) -> None:
    t = Tailing(tmp_path, ways=Ways(newline="\n".encode(encoding)))
    text = ["Đăng nhập", "\u0a00\u000d\u0a0d x", "ba"]
    data = ("\ufeff" + "".join(f"{one}\r\n" for one in text)).encode(encoding)
    for start in range(0, len(data), 7):
        append(t.logs / "a", data[start : start + 7])
        t.turn(0.1)
    assert [one.decode(encoding) for one in t.bodies] == text


def test_what_is_no_plain_file_under_its_folder_is_refused_and_named(tmp_path: Path) -> None:
    t = Tailing(tmp_path, "**/*.log")
    (tmp_path / "secret").write_bytes(b"root:x\n")
    (t.logs / "out.log").symlink_to(tmp_path / "secret")
    os.mkfifo(t.logs / "pipe.log")
    (t.logs / "up.log").symlink_to("/dev/zero")
    deep = t.logs / "q1" / "web"
    deep.mkdir(parents=True)
    append(deep / "in.log", b"fine\n")
    (t.logs / "link.log").symlink_to(deep / "in.log")
    (t.logs / "round").symlink_to(t.logs)
    t.turn()
    assert t.bodies == [b"fine"]
    assert t.tailer.troubles == {
        str(t.logs / "out.log"): "a link that leads outside",
        str(t.logs / "pipe.log"): "not a regular file",
        str(t.logs / "up.log"): "a link that leads outside",
    }


@pytest.mark.parametrize("pattern", ["app.log", "/app.log", "/*/app.log", "/var/../etc/*.log"])
def test_a_pattern_has_a_folder_of_its_own(pattern: str) -> None:
    with pytest.raises(Exception, match="a pattern of files"):
        scan.check(pattern)


def test_thousands_of_files_are_read_with_few_of_them_open(tmp_path: Path) -> None:
    t = Tailing(tmp_path)
    for number in range(1200):
        append(t.logs / f"{number}.log", lines(number))
    t.turn()
    assert len(list(Path("/proc/self/fd").iterdir())) < 300
    for number in range(1200):
        append(t.logs / f"{number}.log", lines(number + 2000))
    t.turn()
    times = Counter(t.bodies)
    assert times == Counter(bodies(*range(1200), *range(2000, 3200)))
