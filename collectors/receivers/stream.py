"""What all receivers over TCP share: the listener, who it is, a clean stop.

In: connections. Out: `StreamConnection`s, of the transport's own class. Sources are known by their certificate where the
listener has a client CA, and by listener and address elsewhere; a connection from an unknown one is closed and counted
as a knock, and an open one is closed when the register no longer knows it (a revoked certificate, a paused source).
A record that stays unfinished too long, too much in unfinished ones, too many connections: closed, and counted.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from ssl import SSLContext
from typing import ClassVar, Final

from collectors.receivers import proxy_protocol
from collectors.receivers.base import Delivery, cannot_listen, tls_context
from collectors.receivers.directory import SourceIdentity
from collectors.receivers.intake import Intake
from collectors.receivers.proxied import ProxiedServer
from collectors.receivers.stream_connection import StreamConnection
from pipeline.settings.values import Listener

_ACCEPTING: Final = (
    0.05  # a connection that the kernel has accepted gets its reader before the door is shut
)


class StreamReceiver:
    delivery: ClassVar[Delivery]
    connection: ClassVar[Callable[..., StreamConnection]]

    def __init__(self, listener: Listener, intake: Intake) -> None:
        self._listener, self.intake = listener, intake
        self.port = listener.port
        self.proxies: tuple[proxy_protocol.Network, ...] = ()
        self.open: set[StreamConnection] = set()  # those too that are gone and wait for the spool
        self._server: asyncio.Server | ProxiedServer | None = None

    @property
    def name(self) -> str:
        return self._listener.name

    async def start(self) -> None:
        tls = tls_context(self._listener)
        where = f"collect.listeners {self.name}"
        self.proxies = proxy_protocol.networks(self._listener.proxies, where)
        try:
            if tls and self.proxies:
                self._listen_behind(self.proxies, tls)
                return
            server = await asyncio.get_running_loop().create_server(
                lambda: type(self).connection(self),
                self._listener.address,
                self._listener.port,
                ssl=tls,
                ssl_handshake_timeout=10 if tls else None,
                backlog=512,
            )
        except OSError as error:
            raise cannot_listen(self._listener, error) from error
        self._server, self.port = server, server.sockets[0].getsockname()[1]

    def _listen_behind(self, proxies: tuple[proxy_protocol.Network, ...], tls: SSLContext) -> None:
        """TLS begins behind the proxy's head."""
        family = socket.AF_INET6 if ":" in self._listener.address else socket.AF_INET
        bound = socket.create_server(
            (self._listener.address, self._listener.port), family=family, backlog=512
        )
        self.port = bound.getsockname()[1]

        def make(peer: str) -> StreamConnection:
            made = type(self).connection(self)
            made.told = peer
            return made

        note = self.intake.counters.of(self.name).note
        self._server = ProxiedServer(bound, proxies, make, note, tls)

    async def stop(self, grace: float) -> None:
        if self._server is None:
            return
        deadline = time.monotonic() + grace
        await asyncio.sleep(_ACCEPTING)
        self._server.close()
        await asyncio.gather(*(connection.finish(deadline) for connection in list(self.open)))
        self._server = None

    def sweep(self) -> None:
        oldest = time.monotonic() - self.intake.limits.unfinished
        for connection in sorted(self.open, key=lambda one: one.incomplete(), reverse=True):
            connection.close_if_stuck(oldest)
            connection.close_if_unknown()
            connection.due()
            connection.count_incomplete()  # its source's part is less when there are more sources

    def identify(self, connection: StreamConnection) -> SourceIdentity | None:
        """By certificate where the listener asks for one: an address is no way around it."""
        if self._listener.client_ca:
            return self.intake.by_certificate(connection.certificate)
        return self.intake.by_address(self.name, connection.peer)
