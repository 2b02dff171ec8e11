"""Torn tails are cut, damage is named; what lies around both is read."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from collectors.spool import (
    Draft,
    Receipt,
    SpoolDamagedError,
    SpoolLimits,
    SpoolReader,
    SpoolWriter,
    layout,
    segments,
)


def draft(text: str) -> Draft:
    return Draft("s1", 1, text.encode())


def fill(
    root: Path, batches: int, per_batch: int = 3, limits: SpoolLimits | None = None
) -> list[str]:
    texts: list[str] = []
    with SpoolWriter(root, "n1", limits) as writer:
        for i in range(batches):
            new = [f"{i}-{j}-" + "x" * 30 for j in range(per_batch)]
            writer.append([draft(t) for t in new], f"{i:016d}".encode())
            texts += new
    return texts


def read_all(root: Path) -> tuple[dict[int, str], list[tuple[int, int]]]:
    """Everything that can be read, by sequence, and the ranges that cannot."""
    good: dict[int, str] = {}
    bad: list[tuple[int, int]] = []
    with SpoolReader(root, "n1") as reader:
        after, durable = 0, reader.durable()
        while after < durable:
            try:
                records = reader.read(after, 5)
            except SpoolDamagedError as error:
                bad.append((error.first, error.last))
                after = error.last
                continue
            assert [r.sequence for r in records] == list(range(after + 1, after + 1 + len(records)))
            good.update({r.sequence: r.body.decode() for r in records})
            after = records[-1].sequence
    assert after == durable
    assert sum(last - first + 1 for first, last in bad) + len(good) == durable
    return good, bad


def tail_of(root: Path) -> Path:
    (path,) = (root / "n1").glob("*.open")
    return path


def forget_mark(root: Path) -> None:
    """As after a power cut that came before the mark was written back."""
    (root / "n1" / segments.DURABLE_NAME).unlink()


@pytest.mark.parametrize("cut", [1, 7, 40, 150, 190])
def test_a_torn_batch_is_cut_and_its_sequences_are_given_again(tmp_path: Path, cut: int) -> None:
    texts = fill(tmp_path, 4)
    forget_mark(tmp_path)
    tail = tail_of(tmp_path)
    tail.write_bytes(tail.read_bytes()[:-cut])
    with SpoolWriter(tmp_path, "n1") as writer:
        assert writer.damaged == []
        assert writer.append([draft("new")], b"n" * 16) == Receipt(10, 1)
    good, bad = read_all(tmp_path)
    assert (list(good.values()), bad) == ([*texts[:9], "new"], [])


def test_garbage_after_the_last_batch_is_cut(tmp_path: Path) -> None:
    texts = fill(tmp_path, 2)
    with tail_of(tmp_path).open("ab") as file:
        file.write(random.Random(1).randbytes(5000))
    with SpoolWriter(tmp_path, "n1") as writer:
        assert writer.append([draft("new")]) == Receipt(7, 1)
    assert read_all(tmp_path) == (dict(enumerate([*texts, "new"], 1)), [])


def test_a_whole_batch_beyond_the_mark_is_kept_with_its_request(tmp_path: Path) -> None:
    texts = fill(tmp_path, 3)
    forget_mark(tmp_path)
    with SpoolWriter(tmp_path, "n1") as writer:
        assert writer.append([draft("again")], b"0000000000000002") == Receipt(7, 3, repeated=True)
    assert list(read_all(tmp_path)[0].values()) == texts


def test_a_flipped_bit_in_a_record_loses_that_record_only_and_is_named(tmp_path: Path) -> None:
    texts = fill(tmp_path, 4)
    tail = tail_of(tmp_path)
    data = bytearray(tail.read_bytes())
    data[data.index(b"1-1-x") + 4] ^= 1
    tail.write_bytes(data)
    with SpoolWriter(tmp_path, "n1") as writer:
        assert writer.damaged == [(4, 6)]
        assert writer.append([draft("new")]) == Receipt(13, 1)
    good, bad = read_all(tmp_path)
    assert bad == [(5, 5)]
    assert list(good.values()) == texts[:4] + texts[5:] + ["new"]


@pytest.mark.parametrize("sealed", [False, True])
def test_any_flipped_byte_is_named_or_harmless_and_never_changes_a_record(
    tmp_path: Path, sealed: bool
) -> None:
    limits = SpoolLimits(segment_bytes=1200) if sealed else None
    texts = fill(tmp_path, 12, 3, limits)
    path = min((tmp_path / "n1").glob("0*"))
    whole = path.read_bytes()
    chooser = random.Random(3)
    for place in chooser.sample(range(len(whole)), 120):
        data = bytearray(whole)
        data[place] ^= 1 << chooser.randrange(8)
        path.write_bytes(data)
        good, bad = read_all(tmp_path)
        assert all(texts[sequence - 1] == text for sequence, text in good.items())
        lost = sum(last - first + 1 for first, last in bad)
        assert len(good) + lost == len(texts)
        if place >= layout.HEAD.size:
            assert lost <= 3
    path.write_bytes(whole)


def test_damage_before_the_mark_is_never_cut_as_if_it_were_torn(tmp_path: Path) -> None:
    texts = fill(tmp_path, 5)
    tail = tail_of(tmp_path)
    data = bytearray(tail.read_bytes())
    place = data.index(b"4-0-x") - 60  # the header of the last batch
    data[place : place + 30] = bytes(30)
    tail.write_bytes(data)
    with SpoolWriter(tmp_path, "n1") as writer:
        assert writer.damaged == [(13, 15)]
        assert writer.append([draft("new")]) == Receipt(16, 1)
    good, bad = read_all(tmp_path)
    assert bad == [(13, 15)]
    assert list(good.values()) == [*texts[:12], "new"]


def test_a_lost_tail_leaves_its_sequences_taken_and_named(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    tail_of(tmp_path).unlink()
    with SpoolWriter(tmp_path, "n1") as writer:
        assert writer.damaged == [(1, 9)]
        assert writer.append([draft("new")]) == Receipt(10, 1)
    assert read_all(tmp_path) == ({10: "new"}, [(1, 9)])


def test_a_truncated_tail_leaves_its_sequences_taken_and_named(tmp_path: Path) -> None:
    texts = fill(tmp_path, 3)
    tail = tail_of(tmp_path)
    tail.write_bytes(tail.read_bytes()[:-30])
    with SpoolWriter(tmp_path, "n1") as writer:
        assert writer.damaged == [(7, 9)]
        assert writer.append([draft("new")]) == Receipt(10, 1)
    good, bad = read_all(tmp_path)
    assert (list(good.values()), bad) == ([*texts[:6], "new"], [(7, 9)])


def test_a_tail_with_a_torn_head_is_made_anew(tmp_path: Path) -> None:
    texts = fill(tmp_path, 3, limits=SpoolLimits(segment_bytes=300))
    folder = tmp_path / "n1"
    tail = tail_of(tmp_path)
    with SpoolWriter(tmp_path, "n1"):
        pass
    tail.rename(
        folder / segments.sealed_name(7, 9)
    )  # no footer: as if the sealing had been cut short
    (folder / segments.open_name(10)).write_bytes(b"TCSP")
    with SpoolWriter(tmp_path, "n1") as writer:
        assert writer.append([draft("new")]) == Receipt(10, 1)
    assert list(read_all(tmp_path)[0].values()) == [*texts, "new"]


def test_a_sealing_that_stopped_before_the_renaming_is_completed(tmp_path: Path) -> None:
    texts = fill(tmp_path, 5, limits=SpoolLimits(segment_bytes=600))
    folder = tmp_path / "n1"
    newest = max(folder.glob("*.sealed"))
    tail_of(tmp_path).unlink()
    newest.rename(folder / segments.open_name(int(newest.name[:20])))
    (folder / segments.DURABLE_NAME).unlink()
    last = int(newest.name[21:41])
    with SpoolWriter(tmp_path, "n1") as writer:
        assert writer.append([draft("new")]) == Receipt(last + 1, 1)
    assert newest.exists()
    assert list(read_all(tmp_path)[0].values()) == [*texts[:last], "new"]


def test_bytes_inside_a_record_never_pass_for_a_batch(tmp_path: Path) -> None:
    """A sender who knows the format, but not the salt, writes a batch into his log line."""
    fake = layout.pack_batch([draft("forged")], 3, 1, layout.NO_REQUEST, 0)
    with SpoolWriter(tmp_path, "n1") as writer:
        writer.append([draft("a")])
        writer.append([Draft("s1", 1, fake * 3)])
    tail = tail_of(tmp_path)
    data = bytearray(tail.read_bytes())
    place = data.index(layout.BATCH_MARK, data.index(layout.BATCH_MARK) + 4)
    data[place + 5] ^= 1
    tail.write_bytes(data)
    assert read_all(tmp_path) == ({1: "a"}, [(2, 2)])
