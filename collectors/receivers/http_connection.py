"""A connection of HTTP under limits: how many from one address, and how long a request's head may take.

uvicorn counts connections of all senders together, and waits for a head without end; so one sender could stop
all others by opening connections, or by sending a byte a minute. Here an address has its own share, and a head that
is not whole after `HEAD_WITHIN` seconds ends the connection, however many bytes trickle in.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar, Final

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

HEAD_WITHIN: Final = 15.0


class Doors:
    """Open connections by address. `note` is told of what was refused."""

    def __init__(self, per_address: int, note: Callable[[str], None]) -> None:
        self.per_address, self.note = per_address, note
        self.open: Counter[str] = Counter()


class Connection(H11Protocol):
    """uvicorn's protocol, held to the limits of its self.doors."""

    doors: ClassVar[Doors]
    told = ""  # the sender's address, where a proxy said it before the connection began
    _address = ""
    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        peer = transport.get_extra_info("peername")
        address = self.told or (peer[0] if peer else "")
        super().connection_made(transport)
        if self.told:
            self.client = (self.told, 0)
        if self.doors.open[address] >= self.doors.per_address:
            self.doors.note("connections_refused")
            transport.abort()
            return
        self._address = address or "?"
        self.doors.open[self._address] += 1
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._head is not None:
            self._head.cancel()
        if self._address:
            self.doors.open[self._address] -= 1
            if not self.doors.open[self._address]:
                del self.doors.open[self._address]
            self._address = ""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch(begun=True)

    def send_400_response(self, msg: str) -> None:
        """No HTTP, or a head beyond its limit."""
        self.doors.note("bad_request")
        super().send_400_response(msg)

    def _watch(self, *, begun: bool = False) -> None:
        """Time runs from a connection's beginning, and from the first byte of each further head."""
        if self.conn.their_state is h11.IDLE:
            if self._head is None and (not begun or self.conn.trailing_data[0]):
                self._head = asyncio.get_running_loop().call_later(HEAD_WITHIN, self._too_slow)
        elif self._head is not None:
            self._head.cancel()
            self._head = None

    def _too_slow(self) -> None:
        self.doors.note("slow_head")
        if not self.transport.is_closing():
            self.transport.abort()


def protocol_of(doors: Doors) -> type[H11Protocol]:
    """A class, as uvicorn makes the connections itself."""
    return type("Connection", (Connection,), {"doors": doors})


def behind_a_proxy(config: Config, state: ServerState) -> Callable[[str], H11Protocol]:
    """What makes a connection as uvicorn does, given the address that a proxy said."""
    kind: Any = config.http_protocol_class

    def make(told: str) -> H11Protocol:
        made: Connection = kind(config=config, server_state=state, app_state={})
        made.told = told
        return made

    return make
