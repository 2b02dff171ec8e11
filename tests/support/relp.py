"""A RELP client as librelp is one: it keeps what was not acknowledged and sends it again, in order, first."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import time
from collections import OrderedDict

_OFFER = b"relp_version=0\nrelp_software=test,1\ncommands=syslog"
_ANSWER = re.compile(rb"([0-9]+) (rsp|serverclose) ([0-9]+)(?: |(?=\n))")


class RelpClient:
    """`unacknowledged` are those of `sent` whose answer was not read, by number; `acknowledged` counts."""

    def __init__(
        self, port: int, host: str = "127.0.0.11", tls: ssl.SSLContext | None = None
    ) -> None:
        self.port, self._host, self._tls = port, host, tls
        self.unacknowledged: OrderedDict[int, bytes] = OrderedDict()
        self.acknowledged: list[bytes] = []
        self.refused: list[bytes] = []
        self._socket: socket.socket | None = None
        self._number = 0
        self._rest = b""

    def open(self) -> None:
        """Raises OSError. Sends again what was not acknowledged, with new numbers."""
        self.cut()
        found = socket.create_connection(
            ("127.0.0.1", self.port), timeout=5, source_address=(self._host, 0)
        )
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = (
            self._tls.wrap_socket(found, server_hostname="localhost") if self._tls else found
        )
        self._number, self._rest = 0, b""
        opening = self._frame(b"open", _OFFER)
        # Before anything is sent: it may be cut off at the first byte, and forget nothing.
        self.unacknowledged = self._numbered(list(self.unacknowledged.values()))
        self._socket.sendall(opening)
        self._socket.sendall(b"".join(self._syslog(n, d) for n, d in self.unacknowledged.items()))

    def send(self, records: list[bytes], *, upto: int | None = None) -> None:
        """Raises OSError. With `upto`, only so many bytes of it are sent."""
        assert self._socket is not None
        numbered = self._numbered(records)
        self.unacknowledged.update(numbered)
        self._socket.sendall(b"".join(self._syslog(n, d) for n, d in numbered.items())[:upto])

    def read(self, seconds: float = 0.0) -> bool:
        """Read answers: those that are there, or until nothing is left unacknowledged. False: no more come."""
        deadline = time.monotonic() + seconds
        while self._socket is not None:
            self._socket.settimeout(max(0.0001, deadline - time.monotonic()))
            try:
                data = self._socket.recv(65536)
            except (TimeoutError, ssl.SSLWantReadError):
                return True
            except OSError:
                return False
            if not data:
                return False
            self._understand(data)
            if not self.unacknowledged:
                return True
        return False

    def lose_answers(self, count: int) -> None:
        """As if a proxy took the answers to `count` records and could not hand them on."""
        assert self._socket is not None
        self._socket.settimeout(10)
        taken = b""
        while taken.count(b" rsp 6 200 OK\n") < count:
            data = self._socket.recv(65536)
            assert data, taken
            taken += data

    def settle(self, seconds: float = 10.0) -> None:
        """Until all is acknowledged; opens the session again as often as it is lost."""
        deadline = time.monotonic() + seconds
        while self.unacknowledged:
            assert time.monotonic() < deadline, f"{len(self.unacknowledged)} never acknowledged"
            if not self.read(0.2):
                with contextlib.suppress(OSError):
                    self.open()
                time.sleep(0.01)

    def close(self) -> bytes:
        """In order; gives what the server said last."""
        assert self._socket is not None
        self._socket.settimeout(5)
        self._socket.sendall(self._frame(b"close", b""))
        said = b""
        with contextlib.suppress(OSError):
            while data := self._socket.recv(65536):
                said += data
        self._understand(said)
        self.cut()
        return said

    def cut(self, *, reset: bool = False) -> None:
        if self._socket is not None:
            if reset:
                self._socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
            self._socket.close()
            self._socket = None

    def _numbered(self, records: list[bytes]) -> OrderedDict[int, bytes]:
        first = self._number + 1
        self._number += len(records)
        return OrderedDict(enumerate(records, first))

    def _frame(self, command: bytes, data: bytes) -> bytes:
        self._number += 1
        return frame(self._number, command, data)

    def _syslog(self, number: int, data: bytes) -> bytes:
        return frame(number, b"syslog", data)

    def _understand(self, data: bytes) -> None:
        self._rest += data
        while found := _ANSWER.match(self._rest):
            size = int(found[3])
            if len(self._rest) < found.end() + size + 1:
                return
            body = self._rest[found.end() : found.end() + size]
            self._rest = self._rest[found.end() + size + 1 :]
            number = int(found[1])
            if number in self.unacknowledged:
                record = self.unacknowledged.pop(number)
                (self.acknowledged if body.startswith(b"200") else self.refused).append(record)


def frame(number: int, command: bytes, data: bytes) -> bytes:
    return b"%d %s %d%s\n" % (number, command, len(data), b" " + data if data else b"")
