"""RFC 6587, both ways, in pieces of any size."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.receivers.framing import Framer, FramingError


def run(stream: bytes, cuts: list[int], limit: int = 1000) -> tuple[list[bytes], Framer]:
    framer = Framer(limit)
    found: list[bytes] = []
    places = sorted({0, len(stream), *(c % (len(stream) + 1) for c in cuts)})
    for start, end in itertools.pairwise(places):
        found += framer.feed(stream[start:end])
    return found, framer


bodies = st.lists(st.binary(min_size=1, max_size=60).map(lambda b: b"<1>" + b), max_size=20)


@given(bodies, st.lists(st.integers(0, 10_000), max_size=30))
@settings(max_examples=300, deadline=None)
def test_counted_octets_come_out_as_they_went_in_however_they_are_cut(
    records: list[bytes], cuts: list[int]
) -> None:
    found, framer = run(b"".join(b"%d %s" % (len(r), r) for r in records), cuts)
    assert found == records
    assert (framer.unfinished, framer.finish(), framer.cut) == (0, b"", 0)


@given(
    bodies,
    st.lists(st.integers(0, 10_000), max_size=30),
    st.sampled_from([b"\n", b"\r\n", b"\0\n"]),
)
@settings(max_examples=300, deadline=None)
def test_lines_come_out_as_they_went_in_however_they_are_cut(
    records: list[bytes], cuts: list[int], end: bytes
) -> None:
    plain = [r.replace(b"\n", b" ").rstrip(b"\r\0") for r in records]
    found, framer = run(b"".join(r + end for r in plain), cuts)
    assert found == plain
    assert framer.finish() == b""


@given(st.lists(st.binary(max_size=200), max_size=20), st.integers(1, 50))
@settings(max_examples=500, deadline=None)
def test_any_bytes_give_records_within_the_limit_or_a_framing_error(
    pieces: list[bytes], limit: int
) -> None:
    framer = Framer(limit)
    try:
        for piece in pieces:
            assert all(0 < len(record) <= limit for record in framer.feed(piece))
            assert framer.unfinished <= limit + 12
    except FramingError:
        assert framer.mode == "octets"


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=10),
    st.lists(st.integers(0, 10_000), max_size=9),
)
@settings(max_examples=300, deadline=None)
def test_a_record_over_the_limit_is_cut_and_the_next_is_found(
    sizes: list[int], cuts: list[int]
) -> None:
    records = [b"<" + bytes([97 + i]) * size for i, size in enumerate(sizes)]
    expected = [record[:20] for record in records]
    counted, framer = run(b"".join(b"%d %s" % (len(r), r) for r in records), cuts, 20)
    assert (counted, framer.cut) == (expected, sum(len(r) > 20 for r in records))
    lines, framer = run(b"".join(r + b"\n" for r in records), cuts, 20)
    assert (lines, framer.cut) == (expected, sum(len(r) > 20 for r in records))


@pytest.mark.parametrize(
    ("stream", "records", "rest"),
    [
        (b"<1>no end", [], b"<1>no end"),
        (
            b"2026-11-24 begins with digits\n<1>x\n",
            [b"2026-11-24 begins with digits", b"<1>x"],
            b"",
        ),
        (b"12 monkeys\n", [b"12 monkeys"], b""),
        (b"\n\n<1>a\n\n<1>b\r\n", [b"<1>a", b"<1>b"], b""),
        (b"4 <1>a\n4 <1>b\n", [b"<1>a", b"<1>b"], b""),
        (b"9 <1>a\nb<2>", [b"<1>a\nb<2>"], b""),
        (b"7", [], b"7"),
        (b"400 <1>half", [], b""),
    ],
)
def test_streams_that_senders_really_make(stream: bytes, records: list[bytes], rest: bytes) -> None:
    found, framer = run(stream, [])
    assert (found, framer.finish()) == (records, rest)


def test_a_broken_count_ends_the_stream_with_what_was_seen() -> None:
    framer = Framer(1000)
    framer.feed(b"4 <1>a")
    with pytest.raises(FramingError, match="a record's length was expected"):
        framer.feed(b"<1>no count")
