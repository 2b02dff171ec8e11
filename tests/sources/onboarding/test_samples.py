"""What is pasted or uploaded becomes records, within limits."""

from __future__ import annotations

import gzip

import pytest

from pipeline.model.errors import LargeError, UsageError
from pipeline.sources.onboarding.samples import LONGEST, MOST, UPLOAD, Samples, from_file, from_text


def test_each_line_is_a_record_and_blank_ones_are_none() -> None:
    assert from_text("a\r\n\n  \nb\n").bodies == (b"a", b"b")


def test_a_document_over_several_lines_is_one_record() -> None:
    assert from_text('{\n "a": 1,\n "b": 2\n}\n').bodies == (b'{\n "a": 1,\n "b": 2\n}',)
    event = "<Event xmlns='x'>\n <System/>\n</Event>"
    assert from_text(event).bodies == (event.encode(),)
    assert from_text('{"a":1}\n{"a":2}').bodies == (b'{"a":1}', b'{"a":2}')


def test_more_than_is_looked_at_is_counted() -> None:
    many = from_text("\n".join(map(str, range(MOST + 7))))
    assert (len(many.bodies), many.skipped, many.cut) == (MOST, 7, 0)
    long = from_text("x" * (LONGEST + 1))
    assert (len(long.bodies[0]), long.cut) == (LONGEST, 1)


def test_a_packed_file_is_unpacked_and_its_encoding_is_declared() -> None:
    text = "đăng nhập thất bại"
    made = from_file("a.log.gz", gzip.compress(text.encode("utf-16")))
    assert made.lines() == [text]
    latin = from_file("a.log", "café".encode("cp1258"))
    assert latin.lines("cp1258") == ["café"]
    assert latin.lines() == ["caf\ufffd"]


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.log", b"", UsageError),
        ("a.log", b"\n\n", UsageError),
        ("a.evtx", b"not one", UsageError),
        ("a.gz", gzip.compress(b"x" * 9_000)[:12], UsageError),
        ("a.xz", b"\xfd7zXZ\x00" + b"\0" * 40, UsageError),
        ("a.log", b"x" * (UPLOAD + 1), LargeError),
    ],
)
def test_what_holds_nothing_is_refused_in_words(
    name: str, content: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        from_file(name, content)


def test_a_packed_file_is_not_unpacked_without_end() -> None:
    bomb = gzip.compress(b"ElfFile\x00" + bytes(40_000_000), 6)
    assert len(bomb) < UPLOAD
    with pytest.raises(UsageError):
        from_file("bomb.evtx.gz", bomb)
    lines = from_file("a.gz", gzip.compress(b"a=b\n" * 9_000_000, 6))
    assert len(lines.bodies) == MOST


def test_what_stands_before_the_damage_is_taken() -> None:
    content = gzip.compress(
        b"".join(b"line %d %s\n" % (n, bytes([33 + n % 90]) * 40) for n in range(400_000)), 1
    )
    assert from_file("a.gz", content[: len(content) // 2]).bodies[0].startswith(b"line 0 ")


def test_what_is_kept_comes_back_whatever_its_bytes() -> None:
    samples = Samples((b"\xff\x00\n", "ữ".encode()), 3, 1)
    assert Samples.unpacked(samples.packed()) == samples
