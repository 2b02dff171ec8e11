"""RELP's frames out of a TCP stream.

In: pieces of the stream. Out: `Frame`s, in order. On the wire, a number that counts up within the session,
a command, the length of the data, the data, LF::

    1 open 85 relp_version=0\\nrelp_software=librelp,1.10.0,http://librelp.adiscon.com\\ncommands=syslog
    2 syslog 55 <34>1 2026-11-24T09:00:00Z fw01 sshd 411 - - Failed password
    3 close 0

Data longer than the limit is cut there: its head is given, the rest thrown away, and `cut` counts it.
Invariant: the frames do not depend on how the stream was cut into pieces.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from collectors.receivers.framing import FramingError

_HEAD: Final = re.compile(rb"([0-9]{1,9}) ([A-Za-z]{1,32}) ([0-9]{1,9})([ \n])")
_MAYBE_HEAD: Final = re.compile(
    rb"[0-9]{1,9}(?: (?:[A-Za-z]{1,32}(?: (?:[0-9]{1,9})?)?)?)?"  # what may still become a head
)
_HEAD_AT_MOST: Final = 9 + 1 + 32 + 1 + 9 + 1


class Frame(NamedTuple):
    txnr: int
    command: bytes
    data: bytes


class RelpFramer:
    """One session's. `cut` counts frames whose data were longer than `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit, self.cut = limit, 0
        self._rest = bytearray()
        self._need = 0  # how long the rest must be before looking at it can help
        self._skip = 0  # bytes of a frame that was cut which are still to come, with its LF

    @property
    def unfinished(self) -> int:
        """Bytes that wait for the end of their frame."""
        return len(self._rest) + self._skip

    @property
    def held(self) -> int:
        """Of these, the bytes that are in memory."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Raises FramingError."""
        if self._skip:
            step = min(self._skip, len(data))
            self._skip -= step
            data = data[step:]
        if self._rest:  # a sender who gives a byte at a time must not cost a copy each time
            self._rest += data
            if len(self._rest) < self._need:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        self._need = 0
        frames: list[Frame] = []
        position, end = 0, len(data)
        match_head, limit = _HEAD.match, self.limit
        while position < end:
            head = match_head(data, position)
            if head is None:
                self._check_start(data, position)
                break
            size, start = int(head[3]), head.end()
            if size == 0 and head[4] == b"\n":
                frames.append(Frame(int(head[1]), head[2], b""))
                position = start
                continue
            if head[4] == b"\n":
                raise _fault("data were announced and none came", data, position)
            stop = start + size
            if size > limit:
                if end - start < limit:
                    self._need = start - position + limit
                    break
                self.cut += 1
                frames.append(Frame(int(head[1]), head[2], data[start : start + limit]))
                taken = min(end, stop + 1)
                self._skip, position = stop + 1 - taken, taken
                continue
            if stop >= end:
                self._need = stop + 1 - position
                break
            if data[stop] != 10:
                raise _fault("a frame does not end with LF", data, position)
            frames.append(Frame(int(head[1]), head[2], data[start:stop]))
            position = stop + 1
        self._rest += data[position:]
        return frames

    def _check_start(self, data: bytes, position: int) -> None:
        """Raises FramingError unless more bytes may make it a head."""
        rest = data[position : position + _HEAD_AT_MOST + 1]
        if len(rest) > _HEAD_AT_MOST or not _MAYBE_HEAD.fullmatch(rest):
            raise _fault("a frame's head was expected", data, position)


def _fault(what: str, data: bytes, position: int) -> FramingError:
    return FramingError(
        what,
        got=repr(data[position : position + 40]),
        expected="RELP frames: number, command, length, data, LF",
    )
