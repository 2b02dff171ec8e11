"""Syslog over TCP and TLS (RFC 6587, RFC 5425): octet counting or a line each. Delivery: plain.

In: connections. Out: the records that `framing` finds in them. Sources are known by listener and
address; a connection from an unknown one is closed and counted as a knock. A full spool stops the
reading, so that the sender's own queue fills. A record that stays unfinished too long, too many
connections, or a stream that is not framed as it began: the connection is closed, and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import ClassVar, Final

from collectors.receivers.base import Delivery, cannot_listen, tls_context
from collectors.receivers.counters import Tally
from collectors.receivers.directory import SourceIdentity
from collectors.receivers.framing import Framer, FramingError
from collectors.receivers.intake import Intake, now
from collectors.spool import Draft
from pipeline.model.errors import ServiceAwayError
from pipeline.settings.values import Listener

_HIGH_WATER: Final = 4 << 20
_TRY_AGAIN: Final = 0.5
_QUIET: Final = 0.1


class SyslogTcp:
    delivery: ClassVar[Delivery] = Delivery.PLAIN

    def __init__(self, listener: Listener, intake: Intake) -> None:
        self._listener, self.intake = listener, intake
        self.port = listener.port
        self.open: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    @property
    def name(self) -> str:
        return self._listener.name

    async def start(self) -> None:
        tls = tls_context(self._listener)
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Connection(self),
                self._listener.address,
                self._listener.port,
                ssl=tls,
                ssl_handshake_timeout=10 if tls else None,
                backlog=512,
            )
        except OSError as error:
            raise cannot_listen(self._listener, error) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self, grace: float) -> None:
        """What the kernel holds of the open connections is read and stored before they are closed."""
        if self._server is None:
            return
        self._server.close()
        deadline = time.monotonic() + grace
        await asyncio.gather(*(connection.finish(deadline) for connection in list(self.open)))
        self._server = None

    def sweep(self) -> None:
        oldest = time.monotonic() - self.intake.limits.unfinished
        for connection in list(self.open):
            connection.close_if_stuck(oldest)


class _Connection(asyncio.Protocol):
    def __init__(self, receiver: SyslogTcp) -> None:
        self._receiver, self._intake = receiver, receiver.intake
        self._framer = Framer(self._intake.limits.record)
        self._transport: asyncio.Transport | None = None
        self._identity: SourceIdentity | None = None
        self._peer = ""
        self._hand: list[Draft] = []
        self._hand_bytes = 0
        self._paused = False
        self._last = time.monotonic()
        self._pump: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if peer else ""
        self._identity = self._intake.by_address(self._receiver.name, self._peer)
        if self._identity is None:
            self._intake.knock(self._receiver.name, self._peer)
            transport.abort()
            return
        if self._too_many():
            self._tally.note("connections_refused")
            self._identity = None
            transport.abort()
            return
        self._receiver.open.add(self)
        self._tally.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost.set()
        if self._identity is None:
            return
        self._receiver.open.discard(self)
        self._tally.connections -= 1
        self._end_of_stream()

    def data_received(self, data: bytes) -> None:
        if self._identity is None or self._transport is None:
            return
        self._last = time.monotonic()
        cut = self._framer.cut
        try:
            records = self._framer.feed(data)
        except FramingError:
            self._tally.note("bad_framing")
            self._transport.abort()
            return
        if self._framer.cut != cut:
            self._tally.note("cut", self._framer.cut - cut)
        self._take(records)

    @property
    def _tally(self) -> Tally:
        source = self._identity.source if self._identity else ""
        return self._intake.counters.of(self._receiver.name, source)

    def _too_many(self) -> bool:
        limits = self._intake.limits
        return (
            len(self._receiver.open) >= limits.connections
            or self._tally.connections >= limits.connections_per_source
        )

    def _take(self, records: list[bytes]) -> None:
        if not records or self._identity is None:
            return
        moment, source, size = now(), self._identity.source, sum(map(len, records))
        self._tally.take(len(records), size, moment)
        self._hand += [Draft(source, moment, body, peer=self._peer) for body in records]
        self._hand_bytes += size
        if self._hand_bytes > _HIGH_WATER:
            self._pause(on=True)
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._store())

    def _pause(self, *, on: bool) -> None:
        if self._transport is None or self._paused == on or self._transport.is_closing():
            return
        self._paused = on
        if on:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    async def _store(self) -> None:
        """One batch at a time; while the spool is full nothing is read, and the batch waits."""
        try:
            while self._hand:
                batch, self._hand, self._hand_bytes = self._hand, [], 0
                await self._store_batch(batch)
                self._pause(on=False)
        finally:
            self._pump = None

    async def _store_batch(self, batch: list[Draft]) -> None:
        source = batch[0].source
        while True:
            try:
                await self._intake.store(self._receiver.name, source, batch)
            except ServiceAwayError as error:
                self._pause(on=True)
                if self._intake.stopping:
                    reason = "spool_full" if error.http_status == 429 else "spool_failed"
                    self._tally.drop(reason, len(batch))
                    return
                await asyncio.sleep(_TRY_AGAIN)
            else:
                return

    def _end_of_stream(self) -> None:
        whole = self._framer.unfinished
        last = self._framer.finish()
        if last:
            self._take([last])
        elif whole:
            self._tally.note("unfinished")

    def close_if_stuck(self, oldest: float) -> None:
        if self._framer.unfinished and self._last < oldest and not self._paused and self._transport:
            self._tally.note("stuck")
            self._transport.abort()

    async def finish(self, deadline: float) -> None:
        """Tell the sender to stop, read until it is quiet or gone, store, close."""
        transport = self._transport
        if transport is None:
            return
        if transport.can_write_eof():
            with contextlib.suppress(OSError):
                transport.write_eof()
        while time.monotonic() < deadline - 0.3 and time.monotonic() - self._last < _QUIET:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_QUIET / 2):
                    await self._lost.wait()
                    break
        transport.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await self._lost.wait()
        while self._pump is not None and time.monotonic() < deadline:
            await asyncio.wait({self._pump}, timeout=max(0.0, deadline - time.monotonic()))
