"""Records out of a TCP stream of syslog: RFC 6587, both ways, found out by itself.

In: pieces of the stream. Out: whole records. A connection counts octets or ends lines, all along; the
first bytes tell which::

    67 <34>1 2026-11-24T09:00:00Z fw01 sshd 411 - - Failed password for root   octet counting
    <34>Nov 24 09:00:00 fw01 sshd[411]: Failed password for root\\n            a line each

In a line, LF or CR LF or NUL ends the record and is not part of it. Counted octets are kept as they
are. A record longer than the limit is cut there: its head is a record, the rest is thrown away, counted.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from pipeline.model.errors import UsageError

_COUNTED: Final = re.compile(rb"[1-9][0-9]{0,8} <")
_MAYBE_COUNTED: Final = re.compile(rb"[1-9][0-9]{0,8} ?")
_LENGTH: Final = re.compile(rb"([1-9][0-9]{0,8}) ")
_MAYBE_LENGTH: Final = re.compile(rb"[1-9][0-9]{0,8}")


class FramingError(UsageError):
    """The stream is not framed as it began; nothing after this place can be told apart."""


class Framer:
    """One connection's. `cut` counts records that were longer than `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit, self.cut = limit, 0
        self.mode: Literal["", "lines", "octets"] = ""
        self._rest = bytearray()
        self._need = 0  # how long the rest must be before looking at it can help
        self._skip = 0  # octets of a cut record that are still to come
        self._skip_line = False

    @property
    def unfinished(self) -> int:
        """Bytes that wait for the end of their record."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """The records that `data` completes, without empty ones. Raises FramingError."""
        if self._rest:  # a sender who gives a byte at a time must not cost a copy each time
            self._rest += data
            if len(self._rest) < self._need or (self.mode == "lines" and self._still_open(data)):
                return []
            data = bytes(self._rest)
            self._rest.clear()
        self._need = 0
        if not self.mode and not self._find_mode(data):
            self._rest += data
            return []
        return self._lines(data) if self.mode == "lines" else self._octets(data)

    def finish(self) -> bytes:
        """At the end of the stream: a last line without its end. Counted octets are not whole."""
        rest = bytes(self._rest)
        self._rest.clear()
        if self._skip_line or self.mode == "octets":
            return b""
        return rest.rstrip(b"\r\n\0")

    def _still_open(self, data: bytes) -> bool:
        return b"\n" not in data and len(self._rest) <= self.limit

    def _find_mode(self, data: bytes) -> bool:
        if _COUNTED.match(data):
            self.mode = "octets"
        elif _MAYBE_COUNTED.fullmatch(data):
            return False
        else:
            self.mode = "lines"
        return True

    def _lines(self, data: bytes) -> list[bytes]:
        if self._skip_line:
            _, end, data = data.partition(b"\n")
            if not end:
                return []
            self._skip_line = False
        *lines, rest = data.split(b"\n")
        if len(rest) > self.limit:
            lines.append(rest)
            self._skip_line = True
        else:
            self._rest += rest
        found = []
        for raw in lines:
            line = raw.rstrip(b"\r\0")
            if len(line) > self.limit:
                self.cut += 1
                line = line[: self.limit]
            if line:
                found.append(line)
        return found

    def _octets(self, data: bytes) -> list[bytes]:
        found = []
        position, end = 0, len(data)
        while position < end:
            if self._skip:
                step = min(self._skip, end - position)
                self._skip -= step
                position += step
                continue
            match = _LENGTH.match(data, position, position + 10)
            if match is None:
                if end - position < 10 and _MAYBE_LENGTH.fullmatch(data, position):
                    break
                if data[position : position + 1] in b"\r\n\0":  # some senders add a line end
                    position += 1
                    continue
                raise FramingError(
                    "a record's length was expected",
                    got=repr(data[position : position + 20]),
                    expected="octet counting (RFC 6587), as the connection began",
                )
            length = int(match[1])
            start = match.end()
            if length > self.limit:
                if end - start < self.limit:
                    self._need = start - position + self.limit
                    break
                self.cut += 1
                found.append(data[start : start + self.limit])
                self._skip = length - self.limit
                position = start + self.limit
                continue
            if start + length > end:
                self._need = start - position + length
                break
            found.append(data[start : start + length])
            position = start + length
        self._rest += data[position:]
        return found
