"""The spool's promises, without faults: order, groups, restarts, limits, release."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from collectors.spool import (
    Draft,
    Receipt,
    SpoolBusyError,
    SpoolFullError,
    SpoolLimits,
    SpoolReader,
    SpoolWriter,
    nodes,
)
from pipeline.model.errors import UsageError
from pipeline.model.records import RawRecord

SMALL = SpoolLimits(segment_bytes=2000)


def draft(text: str) -> Draft:
    return Draft("s1", 1_700_000_000_000_000, text.encode(), peer="10.0.0.1")


def bodies(root: Path, node: str = "n1") -> list[str]:
    with SpoolReader(root, node) as reader:
        return [record.body.decode() for record in reader.read(0, 1_000_000)]


def test_what_is_appended_is_read_back_with_its_receipt(tmp_path: Path) -> None:
    whole = Draft("s1", 7, b"\x00\xff\n", b"id", "::1", "ab")
    with SpoolWriter(tmp_path, "n1") as writer:
        assert writer.append([whole, draft("b")], b"r" * 16) == Receipt(1, 2)
        assert writer.append([draft("c")]) == Receipt(3, 1)
        with SpoolReader(tmp_path, "n1") as reader:
            assert reader.durable() == 3
            assert reader.read(0, 10) == [
                RawRecord(1, "s1", 7, b"\x00\xff\n", b"id", "::1", b"r" * 16, "ab"),
                RawRecord(2, "s1", 1_700_000_000_000_000, b"b", b"", "10.0.0.1", b"r" * 16),
                RawRecord(3, "s1", 1_700_000_000_000_000, b"c", b"", "10.0.0.1"),
            ]
    assert nodes(tmp_path) == ["n1"]


def test_sequences_go_on_through_restarts_and_segments(tmp_path: Path) -> None:
    expected = []
    for round_ in range(5):
        with SpoolWriter(tmp_path, "n1", SMALL) as writer:
            for i in range(20):
                expected.append(f"{round_}-{i}" + "x" * 50)
                assert writer.append([draft(expected[-1])]) == Receipt(len(expected), 1)
    assert bodies(tmp_path) == expected
    names = sorted(p.name for p in (tmp_path / "n1").glob("0*"))
    assert len(names) > 4
    assert [n.endswith(".open") for n in names] == [False] * (len(names) - 1) + [True]


def test_a_reader_goes_on_while_segments_are_sealed_under_it(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path, "n1", SMALL) as writer, SpoolReader(tmp_path, "n1") as reader:
        seen: list[int] = []
        for i in range(300):
            writer.append([draft(str(i)), draft("y" * 60)])
            seen += [r.sequence for r in reader.read(len(seen), 1 + i % 5)]
        while more := reader.read(len(seen), 7):
            seen += [r.sequence for r in more]
    assert seen == list(range(1, 601))


@pytest.mark.parametrize("after", [0, 1, 2, 3, 17, 98, 99])
def test_reading_begins_anywhere_also_backwards(tmp_path: Path, after: int) -> None:
    with SpoolWriter(tmp_path, "n1", SMALL) as writer:
        for start in range(0, 100, 4):
            writer.append([draft(f"{start + i:040d}") for i in range(4)])
        with SpoolReader(tmp_path, "n1") as reader:
            reader.read(60, 3)
            assert [r.sequence for r in reader.read(after, 6)] == list(range(after + 1, 101))[:6]


def test_many_threads_share_syncs_and_each_batch_stays_together(tmp_path: Path) -> None:
    receipts: dict[str, Receipt] = {}

    def work(name: str) -> None:
        for i in range(30):
            key = f"{name}-{i}"
            receipts[key] = writer.append([draft(f"{key}-{j}") for j in range(3)])

    with SpoolWriter(tmp_path, "n1", SpoolLimits(segment_bytes=20_000)) as writer:
        threads = [threading.Thread(target=work, args=(str(t),)) for t in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = bodies(tmp_path)
    assert len(found) == 720
    for key, receipt in receipts.items():
        assert found[receipt.first - 1 : receipt.first + 2] == [f"{key}-{j}" for j in range(3)]


def test_a_second_process_is_refused_the_folder(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path, "n1"), pytest.raises(SpoolBusyError, match="another process writes"):
        SpoolWriter(tmp_path, "n1")
    SpoolWriter(tmp_path, "n1").close()


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", "ngã", "x" * 65])
def test_a_node_name_that_is_no_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="node's name"):
        SpoolWriter(tmp_path, name)


def test_a_repeated_request_gets_the_first_receipt_also_after_a_restart(tmp_path: Path) -> None:
    one, two = b"1" * 16, b"2" * 16
    with SpoolWriter(tmp_path, "n1", SMALL) as writer:
        assert writer.append([draft("a"), draft("b")], one) == Receipt(1, 2)
        assert writer.append([draft("a"), draft("b")], one) == Receipt(1, 2, repeated=True)
        for i in range(50):  # over several sealed segments
            writer.append([draft("f" * 100)], i.to_bytes(16, "big"))
        writer.append([draft("z")], two)
    with SpoolWriter(tmp_path, "n1", SMALL) as writer:
        assert writer.append([draft("a"), draft("b")], one) == Receipt(1, 2, repeated=True)
        assert writer.append([draft("z")], two) == Receipt(53, 1, repeated=True)
        assert writer.append([draft("new")], b"3" * 16) == Receipt(54, 1)
    assert len(bodies(tmp_path)) == 54


def test_a_request_repeated_while_the_first_is_being_written_is_stored_once(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path, "n1") as writer:
        futures = [writer.submit([draft("a")], b"1" * 16) for _ in range(20)]
        receipts = [future.result() for future in futures]
    assert receipts == [Receipt(1, 1)] + [Receipt(1, 1, repeated=True)] * 19
    assert bodies(tmp_path) == ["a"]


def test_a_request_older_than_the_window_is_stored_again(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path, "n1", SpoolLimits(request_window=0.05)) as writer:
        writer.append([draft("a")], b"1" * 16)
        time.sleep(0.1)
        assert writer.append([draft("a")], b"1" * 16) == Receipt(2, 1)


def test_a_full_spool_refuses_and_takes_again_after_a_release(tmp_path: Path) -> None:
    limits = SpoolLimits(segment_bytes=2000, spool_bytes=10_000)
    with SpoolWriter(tmp_path, "n1", limits) as writer, SpoolReader(tmp_path, "n1") as reader:
        stored = 0
        while not isinstance(writer.submit([draft("x" * 100)]).exception(), SpoolFullError):
            stored += 1
        assert 40 < stored < 100
        assert reader.release(stored, retain=900) == []
        assert len(reader.release(stored, retain=0)) >= 3
        time.sleep(0.25)
        assert writer.append([draft("again")]) == Receipt(stored + 1, 1)
        first = reader.first()
        assert [r.sequence for r in reader.read(first - 1, 1000)] == list(range(first, stored + 2))


def test_a_release_keeps_what_is_not_settled_and_the_place_of_the_next_sequence(
    tmp_path: Path,
) -> None:
    with SpoolWriter(tmp_path, "n1", SMALL) as writer, SpoolReader(tmp_path, "n1") as reader:
        for _ in range(60):
            writer.append([draft("x" * 100)])
        reader.release(30, retain=0)
        assert 1 < reader.first() <= 31
        assert [r.sequence for r in reader.read(30, 100)] == list(range(31, 61))
        reader.release(10_000, retain=0)
    with SpoolWriter(tmp_path, "n1", SMALL) as writer:
        assert writer.append([draft("next")]) == Receipt(61, 1)


def test_a_disk_that_is_nearly_full_is_left_its_reserve(tmp_path: Path) -> None:
    with (
        SpoolWriter(tmp_path, "n1", SpoolLimits(free_bytes=1 << 60)) as writer,
        pytest.raises(SpoolFullError, match="nearly full"),
    ):
        writer.append([draft("x")])


def test_a_record_that_cannot_be_written_refuses_its_own_batch_only(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path, "n1") as writer:
        futures = [writer.submit([draft("a")]), writer.submit([Draft("s", 1, b"", b"", "\ud800")])]
        futures.append(writer.submit([draft("b")]))
        assert futures[0].result() == Receipt(1, 1)
        with pytest.raises(ValueError, match=r"surrogates|utf-8|str"):
            futures[1].result()
        assert futures[2].result() == Receipt(2, 1)
    assert bodies(tmp_path) == ["a", "b"]


def test_a_caller_who_goes_away_changes_nothing(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path, "n1") as writer:
        assert not writer.submit([draft("a")]).cancel()
        assert writer.append([draft("b")]) == Receipt(2, 1)


def test_an_old_tail_is_sealed_so_that_it_can_be_released(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path, "n1", SpoolLimits(segment_age=0.05)) as writer:
        writer.append([draft("a")])
        time.sleep(0.1)
        writer.append([draft("b")])
        assert len(list((tmp_path / "n1").glob("*.sealed"))) == 1
    assert bodies(tmp_path) == ["a", "b"]


def test_a_reader_of_a_node_that_never_wrote_finds_nothing(tmp_path: Path) -> None:
    with SpoolReader(tmp_path, "n1") as reader:
        assert (reader.durable(), reader.first(), reader.read(0, 10)) == (0, 1, [])
