"""The folder of a node that writes once goes when it is settled, and never with a record that is not."""

from __future__ import annotations

from pathlib import Path

from collectors.spool import Draft, SpoolLimits, SpoolReader, SpoolWriter, remove_finished
from collectors.spool.segments import DURABLE_NAME, segments

SMALL = SpoolLimits(segment_bytes=500)


def write(root: Path, records: int) -> Path:
    with SpoolWriter(root, "ingest-1", SMALL) as writer:
        for number in range(records):
            writer.append([Draft("s", 1, b"%d" % number * 100)])
    return root / "ingest-1"


def remove(root: Path, upto: int, *, abandoned: bool = True) -> bool:
    return remove_finished(root, "ingest-1", upto, abandoned=abandoned)


def test_a_settled_folder_goes_and_can_be_asked_about_afterwards(tmp_path: Path) -> None:
    folder = write(tmp_path, 9)
    assert len(segments(folder)) > 2
    with SpoolReader(tmp_path, "ingest-1") as reader:
        assert len(reader.read(0, 100)) == 9
        assert remove(tmp_path, 9)
        assert (folder.exists(), reader.durable(), reader.read(9, 10)) == (False, 0, [])
    assert not remove(tmp_path, 9)


def test_one_record_that_is_not_settled_keeps_it_whole(tmp_path: Path) -> None:
    folder = write(tmp_path, 9)
    before = sorted(folder.iterdir())
    assert not remove(tmp_path, 8)
    assert sorted(folder.iterdir()) == before


def test_a_folder_that_a_writer_holds_stays_though_all_so_far_is_settled(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path, "ingest-1") as writer:
        writer.append([Draft("s", 1, b"a")])
        assert not remove(tmp_path, 1)
        writer.append([Draft("s", 1, b"b")])
    assert not remove(tmp_path, 1)
    assert remove(tmp_path, 2)


def test_a_folder_whose_mark_is_damaged_stays(tmp_path: Path) -> None:
    folder = write(tmp_path, 1)
    (folder / DURABLE_NAME).write_bytes(b"\0" * 8)
    assert not remove(tmp_path, 1)


def test_an_empty_folder_goes_only_when_no_writer_can_be_about_to_begin(tmp_path: Path) -> None:
    folder = write(tmp_path, 0)
    assert not remove(tmp_path, 0, abandoned=False)
    assert remove(tmp_path, 0)
    folder.mkdir()
    assert not remove(tmp_path, 0, abandoned=False)
    assert remove(tmp_path, 0)


def test_what_a_crash_left_half_removed_is_finished(tmp_path: Path) -> None:
    folder = write(tmp_path, 9)
    for segment in segments(folder)[:2]:
        segment.path.unlink()
    assert remove(tmp_path, 9)
    folder = write(tmp_path, 9)
    for file in (*(segment.path for segment in segments(folder)), folder / DURABLE_NAME):
        file.unlink()
    assert remove(tmp_path, 9)
