"""EVTX: whole, growing, damaged, moved, in archives: each record once, what cannot be read is named."""

from __future__ import annotations

import io
import json
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from support.collector import logs_of, running, spooled, tally

from collectors.tail.chunks import CHUNK, HEAD, Evtx
from pipeline.settings.values import CollectSettings, FileInput


@pytest.fixture(scope="session")
def sample(corpora: Path) -> bytes:
    """A log of four chunks, each of a real log of one."""
    parts: list[bytes] = []
    with tarfile.open(corpora / "sigma-regression.tar.xz") as archive:
        for info in archive:
            if not info.name.endswith(".evtx") or info.size != HEAD + CHUNK:
                continue
            member = archive.extractfile(info)
            data = member.read() if member else b""
            if len(numbers(data)) > 0:
                parts.append(data if not parts else data[HEAD:])
            if len(parts) == 4:
                return b"".join(parts)
    pytest.skip("needs four EVTX files in ../shared/corpora/sigma-regression.tar.xz")


def settings_of(root: Path) -> CollectSettings:
    given = FileInput(
        name="evtx", kind="evtx_file", source="q1-files", paths=(str(logs_of(root) / "*"),)
    )
    return CollectSettings(node="n1", listeners=(), files=(given,), settle_seconds=0.2)


def _number(body: bytes) -> int:
    return int(json.loads(body)["Event"]["System"]["EventRecordID"])


def numbers(data: bytes) -> list[int]:
    return [_number(body) for one in Evtx(io.BytesIO(data)).chunks({}) for _, body in one.records]


def until(condition: object, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def stored(root: Path) -> list[int]:
    return [_number(one.body) for one in spooled(root)]


def test_a_log_that_grows_and_is_moved_gives_each_record_once(
    tmp_path: Path, sample: bytes
) -> None:
    logs = logs_of(tmp_path)
    logs.mkdir()
    wanted, log = numbers(sample), logs / "Security.evtx"
    log.write_bytes(sample[: HEAD + CHUNK])
    with running(tmp_path, settings_of(tmp_path)):
        until(lambda: len(stored(tmp_path)) == len(numbers(sample[: HEAD + CHUNK])))
        with log.open("ab") as file:
            file.write(sample[HEAD + CHUNK : HEAD + CHUNK + 30_000])  # a chunk half-written
        time.sleep(0.3)
        log.write_bytes(sample)
        until(lambda: len(stored(tmp_path)) >= len(wanted))
    log.rename(logs / "Archive-Security.evtx")
    (logs / "copy.evtx").write_bytes(sample)
    with running(tmp_path, settings_of(tmp_path)):
        time.sleep(0.6)
    assert sorted(stored(tmp_path)) == sorted(wanted)


def test_a_damaged_chunk_is_passed_over_counted_and_named(tmp_path: Path, sample: bytes) -> None:
    logs = logs_of(tmp_path)
    logs.mkdir()
    spoilt = bytearray(sample)
    spoilt[HEAD + CHUNK : HEAD + CHUNK + 600] = b"\xff" * 600
    (logs / "a.evtx").write_bytes(spoilt)
    wanted = numbers(bytes(spoilt))
    assert 0 < len(wanted) < len(numbers(sample))
    with running(tmp_path, settings_of(tmp_path)) as collector:
        until(lambda: bool(collector.snapshot()["files"][0]["said"]))
        assert tally(collector, "evtx", "q1-files")["notes"] == {"damaged": 1}
        (said,) = collector.snapshot()["files"][0]["said"]
        assert said[0] == str(logs / "a.evtx")
        assert "chunk 1 is damaged" in said[1]
    assert sorted(stored(tmp_path)) == sorted(wanted)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives_of_logs_are_read_and_what_was_read_before_is_not(
    tmp_path: Path, sample: bytes, kind: str
) -> None:
    logs = logs_of(tmp_path)
    logs.mkdir()
    other = bytearray(sample)
    (logs / "live.evtx").write_bytes(sample[: HEAD + CHUNK])
    with running(tmp_path, settings_of(tmp_path)):
        until(lambda: len(stored(tmp_path)) > 0)
    if kind == "zip":
        with zipfile.ZipFile(logs / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("logs/Security.evtx", bytes(other))
            archive.writestr("readme.txt", b"no log")
            archive.writestr("broken.evtx", b"ElfFile\0")
    else:
        with tarfile.open(logs / "all.tar.gz", "w:gz") as archive:
            for name, data in (("logs/Security.evtx", bytes(other)), ("x.txt", b"no log")):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    with running(tmp_path, settings_of(tmp_path)):
        until(lambda: len(stored(tmp_path)) >= len(numbers(sample)))
        time.sleep(0.3)
    assert sorted(stored(tmp_path)) == sorted(numbers(sample))
