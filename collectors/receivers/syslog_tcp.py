"""Syslog over TCP and TLS (RFC 6587, RFC 5425): octet counting or a line each. Delivery: plain.

In: connections (`stream`). Out: the records that `framing` finds in them. A stream that is not framed
as it began is closed, and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import ClassVar, Final

from collectors.receivers.base import Delivery
from collectors.receivers.framing import Framer, FramingError
from collectors.receivers.stream import StreamReceiver
from collectors.receivers.stream_connection import StreamConnection

_QUIET: Final = 0.1


class _Connection(StreamConnection):
    def __init__(self, receiver: StreamReceiver) -> None:
        super().__init__(receiver)
        self._framer = Framer(self.intake.limits.record)

    def feed(self, data: bytes) -> None:
        assert self.transport is not None
        cut = self._framer.cut
        try:
            records = self._framer.feed(data)
        except FramingError:
            self.tally.note("bad_framing")
            self.transport.abort()
            return
        if self._framer.cut != cut:
            self.tally.note("cut", self._framer.cut - cut)
        self.take(records)

    def ended(self) -> None:
        whole = self._framer.unfinished
        last = self._framer.finish()
        if last:
            self.take([last])
        elif whole:
            self.tally.note("unfinished")

    def unfinished(self) -> bool:
        return bool(self._framer.unfinished)

    def begun(self) -> int:
        return self._framer.unfinished

    async def finish(self, deadline: float) -> None:
        """Tell the sender to stop, read until it is quiet or gone, store, close."""
        transport = self.transport
        if transport is None:
            return
        if transport.can_write_eof():
            with contextlib.suppress(OSError):
                transport.write_eof()
        while time.monotonic() < deadline - 0.3 and time.monotonic() - self.last < _QUIET:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_QUIET / 2):
                    await self.lost.wait()
                    break
        transport.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await self.lost.wait()
        await self.pumped(deadline)


class SyslogTcp(StreamReceiver):
    """What the kernel holds of the open connections is read and stored before they are closed."""

    delivery: ClassVar[Delivery] = Delivery.PLAIN
    connection = _Connection
