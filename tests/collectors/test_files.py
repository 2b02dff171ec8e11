"""Input files: whatever packing or damage, records come with true numbers and offsets, or a clear word."""

from __future__ import annotations

import gzip
import io
import lzma
import sys
from pathlib import Path

import pytest
import zstandard

from collectors.files import HEAD, FileRecord, open_input
from pipeline.model.errors import DamagedError, NotFoundError, UsageError

LINES = b'{"a":1}\r\n\n\x00\xff raw\nlast'
RECORDS = [
    FileRecord(1, 0, b'{"a":1}'),
    FileRecord(2, 9, b""),
    FileRecord(3, 10, b"\x00\xff raw"),
    FileRecord(4, 17, b"last"),
]


def _read(path: Path | str) -> tuple[str, list[FileRecord]]:
    with open_input(path) as file:
        return file.fingerprint, list(file)


def test_lines_are_the_same_however_they_are_packed(tmp_path: Path) -> None:
    packed = {
        "plain.log": LINES,
        "a.gz": gzip.compress(LINES),
        "b.xz": lzma.compress(LINES),
        "c.zst": zstandard.compress(LINES),
    }
    found = {}
    for name, body in packed.items():
        (tmp_path / name).write_bytes(body)
        found[name] = _read(tmp_path / name)
    assert {name: records for name, (_, records) in found.items()} == dict.fromkeys(packed, RECORDS)
    assert len({fingerprint for fingerprint, _ in found.values()}) == 1


def test_standard_input_is_read_as_a_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(LINES))))
    )
    (tmp_path / "plain.log").write_bytes(LINES)
    assert _read("-") == _read(tmp_path / "plain.log")


def test_a_long_file_that_grows_keeps_its_fingerprint_and_a_short_one_does_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "grows.log"
    line = b"x" * 99 + b"\n"
    prints = []
    for count in (1, 2, 41, 80):
        path.write_bytes(line * count)
        prints.append(_read(path)[0])
    assert (len(set(prints[:3])), prints[2] == prints[3], 41 * len(line) > HEAD) == (3, True, True)


def test_a_megabyte_line_is_one_record(tmp_path: Path) -> None:
    path = tmp_path / "long.log"
    path.write_bytes(b"a" * 1_000_000 + b"\nshort\n")
    assert [(r.place, r.offset, len(r.body)) for r in _read(path)[1]] == [
        (1, 0, 1_000_000),
        (2, 1_000_001, 5),
    ]


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, zstandard.compress])
def test_a_truncated_packing_gives_what_stands_before_the_damage_then_says_so(
    tmp_path: Path, pack: object
) -> None:
    import random

    body = b"".join(random.Random(7).randbytes(40).hex().encode() + b"\n" for _ in range(60_000))
    path = tmp_path / "cut"
    packed = pack(body)  # type: ignore[operator]
    path.write_bytes(packed[: len(packed) * 3 // 4])
    read: list[FileRecord] = []
    with open_input(path) as file, pytest.raises(DamagedError, match="damaged or cut short"):
        read.extend(file)
    whole = body.splitlines()
    assert [r.body for r in read[:-1]] == whole[: len(read) - 1]
    assert len(read) > 1_000


def test_utf16_comes_as_utf8(tmp_path: Path) -> None:
    path = tmp_path / "u16.log"
    path.write_bytes("Trần Văn An\nhàng hai\n".encode("utf-16"))
    assert [r.body.decode() for r in _read(path)[1]] == ["Trần Văn An", "hàng hai"]


def test_no_file_a_folder_and_an_unknown_packing_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(NotFoundError, match="no such file"):
        open_input(tmp_path / "none")
    with pytest.raises(UsageError, match="folder"):
        open_input(tmp_path)
    with pytest.raises(UsageError, match="unpack it first"):
        open_input(tmp_path / "a.zip")


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert _read(tmp_path / "empty")[1] == []


def test_evtx_gives_record_numbers_and_damage_is_told(corpora: Path, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(corpora / "sigma-regression.tar.xz") as archive:
        member = next(m for m in archive if m.name.endswith(".evtx"))
        content = archive.extractfile(member).read()  # type: ignore[union-attr]
    path = tmp_path / "a.evtx"
    path.write_bytes(content)
    packed = tmp_path / "a.evtx.gz"
    packed.write_bytes(gzip.compress(content))
    fingerprint, records = _read(path)
    assert (fingerprint, records) == _read(packed)
    assert records
    assert all(record.body.startswith(b'{"Event"') for record in records)
    path.write_bytes(b"ElfFile\x00" + b"\0" * 500)
    with open_input(path) as file, pytest.raises(DamagedError, match="EVTX"):
        list(file)


@pytest.mark.parametrize("name", ["Security.evtx", "SECURITY.EVTX.GZ"])
def test_a_file_that_is_named_evtx_and_is_none_is_refused_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    body = b"hello\nworld\n"
    path.write_bytes(gzip.compress(body) if name.endswith("GZ") else body)
    with pytest.raises(UsageError) as told:
        open_input(path)
    assert told.value.where == str(path)
    assert "b'ElfFile\\x00'" in told.value.expected
    assert "b'hello\\nwo'" in told.value.got
