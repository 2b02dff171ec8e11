"""RELP's frames do not depend on how the stream is cut, and what is no frame is an error."""

from __future__ import annotations

import pytest
from support.relp import frame

from collectors.receivers.framing import FramingError
from collectors.receivers.relp_frames import Frame, RelpFramer

STREAM = (
    frame(1, b"open", b"relp_version=0\ncommands=syslog")
    + frame(2, b"syslog", b"<1>one")
    + frame(3, b"syslog", b"<1>two\nlines, 4 syslog 1 x\n")
    + frame(999_999_999, b"syslog", b"\x00\xff")
    + frame(1, b"close", b"")
)
FRAMES = [
    Frame(1, b"open", b"relp_version=0\ncommands=syslog"),
    Frame(2, b"syslog", b"<1>one"),
    Frame(3, b"syslog", b"<1>two\nlines, 4 syslog 1 x\n"),
    Frame(999_999_999, b"syslog", b"\x00\xff"),
    Frame(1, b"close", b""),
]


@pytest.mark.parametrize("cut", range(1, len(STREAM)))
def test_a_stream_cut_at_any_byte_gives_the_same_frames(cut: int) -> None:
    framer = RelpFramer(1000)
    assert framer.feed(STREAM[:cut]) + framer.feed(STREAM[cut:]) == FRAMES
    assert framer.unfinished == 0


def test_byte_by_byte_gives_the_same_frames() -> None:
    framer = RelpFramer(1000)
    assert [f for i in range(len(STREAM)) for f in framer.feed(STREAM[i : i + 1])] == FRAMES


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_data_beyond_the_limit_are_cut_and_the_next_frame_is_whole(step: int) -> None:
    framer = RelpFramer(10)
    stream = frame(2, b"syslog", b"z" * 500) + frame(3, b"syslog", b"next")
    found = [f for i in range(0, len(stream), step) for f in framer.feed(stream[i : i + step])]
    assert found == [Frame(2, b"syslog", b"z" * 10), Frame(3, b"syslog", b"next")]
    assert (framer.cut, framer.unfinished) == (1, 0)


@pytest.mark.parametrize(
    "stream",
    [
        b"<34>Nov 24 09:00:00 fw01 x: plain syslog\n",
        b"GET / HTTP/1.1\r\n",
        b"2 syslog 5 onetwo\n",
        b"2 syslog 5\n",
        b"12345678901 syslog 1 x\n",
        b"2 " + b"a" * 33 + b" 1 x\n",
        b"2  syslog 1 x\n",
        b"\n",
    ],
)
def test_what_is_no_frame_is_an_error(stream: bytes) -> None:
    with pytest.raises(FramingError):
        RelpFramer(1000).feed(stream)
