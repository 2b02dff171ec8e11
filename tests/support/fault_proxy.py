"""A TCP proxy that misbehaves as networks do: it delays, cuts in the middle, resets, goes silent, sends again.

In: connections to its own port, and what to do with them, one plan after another. Out: the same bytes to the target,
until the plan says otherwise. ``half``: the target's answers are swallowed, and the connection is left open. ``lost``:
the same, and after some bytes both ends are ended in order. ``duplicate``: the first bytes that one connection carried
are sent once more on another.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """`after` bytes from the client something happens: reset, cut, lost, half or duplicate; `delay` in seconds a piece."""

    what: str = ""
    after: int = 0
    delay: float = 0.0


class FaultProxy:
    """The plans are taken in turn, one a connection; when they are used up, connections are left alone."""

    def __init__(self, target: int, plans: Sequence[Plan]) -> None:
        self.target, self.port, self.connections = target, 0, 0
        self._plans = itertools.chain(plans, itertools.repeat(Plan()))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plan = next(self._plans)
        self.connections += 1
        try:
            there, to_target = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        up = asyncio.create_task(self._up(reader, to_target, writer, plan))
        down = asyncio.create_task(self._down(there, writer, plan, up))
        await asyncio.wait({up, down}, return_when=asyncio.ALL_COMPLETED)
        for one in (writer, to_target):
            one.close()

    async def _up(
        self,
        reader: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
        plan: Plan,
    ) -> None:
        seen = b""
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                await asyncio.sleep(plan.delay)
                before, seen = len(seen), seen + data
                if plan.what in {"reset", "cut", "lost"} and len(seen) >= plan.after:
                    target.write(data[: plan.after - before])
                    await target.drain()
                    await asyncio.sleep(0.05)
                    _end(target, reset=plan.what == "reset")
                    _end(client, reset=plan.what == "reset")
                    return
                target.write(data)
                await target.drain()
            if plan.what == "duplicate":
                _, again = await asyncio.open_connection("127.0.0.1", self.target)
                again.write(seen[: plan.after or None])
                await again.drain()
                await asyncio.sleep(0.3)
                again.close()
            if plan.what == "half":
                _end(target, reset=True)  # the target hears of no orderly end
            elif not target.is_closing():
                target.write_eof()

    async def _down(
        self,
        there: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        plan: Plan,
        up: asyncio.Task[None],
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await there.read(4096):
                await asyncio.sleep(plan.delay)
                if plan.what in {"half", "lost"}:
                    continue  # the client waits for what never comes
                client.write(data)
                await client.drain()
            if plan.what == "half":
                await up
            client.close()


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort() if reset else writer.close()


@contextlib.contextmanager
def faulty(target: int, plans: Sequence[Plan]) -> Iterator[FaultProxy]:
    """On a loop in a thread of its own."""
    proxy, loop, ready = FaultProxy(target, plans), asyncio.new_event_loop(), threading.Event()

    async def begin() -> None:
        server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        ready.set()

    def work() -> None:
        asyncio.set_event_loop(loop)
        loop.create_task(begin())
        loop.run_forever()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ready.wait(5)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
