"""A file that grew between an `ingest` and another, or is followed as well: each of its lines is handed over once."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.tailing import Tailing

from collectors.files import HEAD, open_input
from collectors.receivers.registered import RegisteredDirectory
from collectors.spool import SpoolReader
from pipeline.model.clock import utc_now
from pipeline.model.scope import OPERATOR
from pipeline.serve.ingest import ingest
from pipeline.serve.installation import Installation, open_home
from pipeline.sources import register
from pipeline.state.tables.intake import FileRange

SOURCE = "p1-any"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Installation]:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thapcanh.yml").write_text(
        f"collect: {{files: [{{name: app, kind: file_tail, source: {SOURCE}, paths: [{tmp_path}/logs/*]}}]}}\n"
    )
    opened = open_home(home)
    now = utc_now()
    register.add_agency(opened.state, OPERATOR, agency="p1", name_vi="P1", name_en="P1", now=now)
    register.add_source(
        opened.state, OPERATOR, source=SOURCE, agency="p1", product="generic", known_products=["generic"], now=now
    )  # fmt: skip
    yield opened
    opened.close()


def lines(first: int, last: int, end: str = "\n") -> bytes:
    return "".join(
        f"line {n} of the log of an application{end}" for n in range(first, last)
    ).encode()


def taken(here: Installation, file: Path) -> tuple[list[bytes], int]:
    """What an `ingest` hands over, and how many it knew."""
    done = ingest(here, file, SOURCE, wait=False, report=lambda *_: None)
    with SpoolReader(here.settings.spool, done.node) as reader:
        return [one.body for one in reader.read(0, 10_000)] if done.records else [], done.skipped


def follow(here: Installation, tmp_path: Path) -> Tailing:
    t = Tailing(tmp_path)
    t.tailer._handed_over = lambda head: RegisteredDirectory(here.state).handed_over(SOURCE, head)
    return t


def keep(here: Installation, tmp_path: Path) -> None:
    """The checkpoint where a collector has it."""
    folder = here.settings.spool / "n1"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(tmp_path / "checkpoint", folder / "tail-app.checkpoint")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_short_file_that_grows_is_the_same_file_each_time(
    here: Installation, tmp_path: Path, end: str
) -> None:
    log, counts = tmp_path / "a.log", [3, 5, 200, 210]
    for before, upto in zip([0, *counts], counts, strict=False):
        log.write_bytes(lines(0, upto, end))
        assert taken(here, log) == (lines(before, upto).splitlines(), before)
    assert log.stat().st_size > HEAD
    assert taken(here, log) == ([], counts[-1])


def test_a_word_that_many_logs_begin_with_makes_no_two_of_them_one(
    here: Installation, tmp_path: Path
) -> None:
    (tmp_path / "a.log").write_bytes(b"started\n")
    (tmp_path / "b.log").write_bytes(b"started\nand more\n")
    assert taken(here, tmp_path / "a.log") == ([b"started"], 0)
    assert taken(here, tmp_path / "b.log") == ([b"started", b"and more"], 0)


def test_a_last_line_that_had_no_end_is_read_again_when_it_has_grown(
    here: Installation, tmp_path: Path
) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(lines(0, 4) + b"half")
    assert taken(here, log)[0][-1] == b"half"
    log.write_bytes(lines(0, 4) + b"half\n")
    assert taken(here, log) == ([], 5)
    log.write_bytes(lines(0, 4) + b"half a line\nnext\n")
    assert taken(here, log) == ([b"half a line", b"next"], 4)


def test_an_evtx_file_is_known_by_the_numbers_of_its_records_not_by_their_length(
    here: Installation, corpora: Path, tmp_path: Path
) -> None:
    log = tmp_path / "a.evtx"
    with tarfile.open(corpora / "sigma-regression.tar.xz") as archive:
        member = next(one for one in archive if one.name.endswith(".evtx") and one.size)
        log.write_bytes(archive.extractfile(member).read())  # type: ignore[union-attr]
    with open_input(log) as opened:
        newest = max(one.offset for one in opened)
    first, _ = taken(here, log)
    assert taken(here, log) == ([], len(first))
    with here.state.read() as session:
        assert session.scalars(sa.select(FileRange.stop)).all() == [newest + 1]


@pytest.mark.parametrize("seen", [1, 3, 200])
def test_what_a_collector_follows_is_not_ingested_again(
    here: Installation, tmp_path: Path, seen: int
) -> None:
    t = follow(here, tmp_path)
    log = t.logs / "app.log"
    log.write_bytes(lines(0, seen))
    t.turn()
    with log.open("ab") as file:
        file.write(lines(seen, 220))
    keep(here, tmp_path)
    assert taken(here, log) == (lines(seen, 220).splitlines(), seen)
    t.turn()
    keep(here, tmp_path)
    assert taken(here, log) == ([], 220)
    shutil.copy(log, tmp_path / "copy")  # 4,096 bytes and what stands before the place prove it
    assert taken(here, tmp_path / "copy") == ([], 220)


def test_wide_text_whose_places_are_counted_otherwise_loses_no_line(
    here: Installation, tmp_path: Path
) -> None:
    t = follow(here, tmp_path)
    log = t.logs / "app.log"
    log.write_bytes(("\ufeff" + lines(0, 200).decode()).encode("utf-16-le"))
    t.turn()
    keep(here, tmp_path)
    assert taken(here, log) == (lines(0, 200).splitlines(), 0)


@pytest.mark.parametrize("ended", [b"\n", b""])
@pytest.mark.parametrize("had", [3, 200])
def test_what_was_ingested_is_not_followed_from_its_beginning(
    here: Installation, tmp_path: Path, had: int, ended: bytes
) -> None:
    t = follow(here, tmp_path)
    log = t.logs / "app.log"
    log.write_bytes(lines(0, had) + b"last" + ended)
    assert taken(here, log)[1] == 0
    t.turn()
    with log.open("ab") as file:
        file.write(b"\n" + lines(1000, 1200))
    t.settle()
    t.kill()
    t.settle()
    assert t.bodies == lines(1000, 1200).splitlines()
