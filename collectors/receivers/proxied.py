"""Connections of proxies, accepted by hand: first the head of the PROXY protocol, then whatever is spoken behind it.

In: a listening socket and the proxies that are believed. Out: connections whose protocol is told the sender's address.
It is needed where a protocol of its own begins right behind the head (TLS, HTTP): the head's bytes are read one by one
as far as they go and no further, so that what follows is untouched. A connection from any other address has no head.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final

from collectors.receivers import proxy_protocol
from collectors.receivers.framing import FramingError

HEAD_WITHIN: Final = 10.0
_HANDSHAKE_WITHIN: Final = 10.0
_BEGINNING: Final = 16  # bytes of a head, the last two say how many follow
_NO_DESCRIPTORS: Final = 0.1

Make = Callable[[str], asyncio.BaseProtocol]


class ProxiedServer:
    """`make` builds the protocol of a connection, given the sender's address; `note` counts what was refused."""

    def __init__(
        self,
        bound: socket.socket,
        proxies: Sequence[proxy_protocol.Network],
        make: Make,
        note: Callable[[str], None],
        tls: ssl.SSLContext | None,
    ) -> None:
        bound.setblocking(False)
        self._bound, self._proxies, self._make, self._note = bound, proxies, make, note
        self._tls = tls
        self._entering: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    def close(self) -> None:
        for task in (self._accepting, *self._entering):
            task.cancel()
        self._bound.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                taken, peer = await loop.sock_accept(self._bound)
            except OSError:  # no descriptors left, say
                await asyncio.sleep(_NO_DESCRIPTORS)
                continue
            task = loop.create_task(self._enter(taken, peer[0]))
            self._entering.add(task)
            task.add_done_callback(self._entering.discard)

    async def _enter(self, taken: socket.socket, peer: str) -> None:
        try:
            taken.setblocking(False)
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if proxy_protocol.is_proxy(peer, self._proxies):
                async with asyncio.timeout(HEAD_WITHIN):
                    peer = await _told(taken) or peer
        except (FramingError, TimeoutError, OSError):
            self._note("bad_proxy_head")
            taken.close()
            return
        except asyncio.CancelledError:
            taken.close()
            raise
        with contextlib.suppress(
            OSError, ssl.SSLError
        ):  # a handshake that fails is the sender's affair
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._make(peer), taken, ssl=self._tls,
                ssl_handshake_timeout=_HANDSHAKE_WITHIN if self._tls else None,
            )  # fmt: skip


async def _told(taken: socket.socket) -> str:
    """The sender's address, empty for the proxy's own connection. Raises FramingError, OSError."""
    head = await _exactly(taken, _BEGINNING)
    if proxy_protocol.sender(head) is None:
        head += await _exactly(taken, int.from_bytes(head[-2:], "big"))
    found = proxy_protocol.sender(head)
    assert found is not None
    return found[0]


async def _exactly(taken: socket.socket, count: int) -> bytes:
    loop, got = asyncio.get_running_loop(), b""
    while len(got) < count:
        part = await loop.sock_recv(taken, count - len(got))
        if not part:
            raise FramingError("the connection ends within the head of the PROXY protocol")
        got += part
    return got
