"""Syslog over UDP (RFC 3164, RFC 5424): a datagram is a record. Delivery: best effort.

In: datagrams. Out: their bytes, as they are. Sources are known by listener and address (weak identity);
unknown ones are thrown away and counted as knocks. The socket is drained in one go per wake-up
(asyncio's own datagram protocol costs twenty times as much); what the kernel had to drop is read from
the socket (``SO_MEMINFO``) and counted under no source as ``kernel``.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import ClassVar, Final

from collectors.receivers import starts
from collectors.receivers.assembly import AUDIT, Assembler, Whole, audit_identity
from collectors.receivers.base import Delivery, cannot_listen
from collectors.receivers.intake import Intake, now
from collectors.spool import Draft
from pipeline.model.errors import ServiceAwayError
from pipeline.settings.values import Listener

_SO_MEMINFO: Final = 55
_SO_RCVBUFFORCE: Final = 33
_DROPS: Final = 8  # SK_MEMINFO_DROPS, the ninth number
_MEMINFO: Final = struct.Struct("9I")
_PER_WAKE_UP: Final = 1000
_IN_HAND: Final = 50_000
_IN_HAND_BYTES: Final = 64 << 20
_ASSEMBLERS: Final = 2_000
_HELD: Final = 16 << 20


class SyslogUdp:
    delivery: ClassVar[Delivery] = Delivery.BEST_EFFORT

    def __init__(self, listener: Listener, intake: Intake) -> None:
        self._listener, self._intake = listener, intake
        self.port = listener.port
        self._socket: socket.socket | None = None
        self._hands: dict[str, list[Draft]] = {}
        self._in_hand = self._hand_bytes = 0
        self._assemblers: dict[tuple[str, str], Assembler[int]] = {}
        self._held = 0
        self._reading = False
        self._kernel_drops = 0
        self._pump: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self._listener.name

    async def start(self) -> None:
        family = socket.AF_INET6 if ":" in self._listener.address else socket.AF_INET
        self._socket = socket.socket(
            family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        self._widen(self._intake.limits.udp_buffer)
        try:
            self._socket.bind((self._listener.address, self._listener.port))
        except OSError as error:
            self._socket.close()
            raise cannot_listen(self._listener, error) from error
        self.port = self._socket.getsockname()[1]
        self._read(on=True)

    async def stop(self, grace: float) -> None:
        if self._socket is None:
            return
        self._drain()
        self._read(on=False)
        self._due(final=True)
        deadline = time.monotonic() + grace
        while self._pump is not None and time.monotonic() < deadline:
            await asyncio.wait({self._pump}, timeout=max(0.0, deadline - time.monotonic()))
        self.sweep()
        self._socket.close()
        self._socket = None

    def sweep(self) -> None:
        if self._assemblers:
            self._due()
        drops = self._drops()
        if drops != self._kernel_drops:
            lost = (drops - self._kernel_drops) & 0xFFFFFFFF
            self._kernel_drops = drops
            tally = self._intake.counters.of(self.name)
            tally.received += lost
            tally.drop("kernel", lost)

    def _widen(self, size: int) -> None:
        assert self._socket is not None
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def _drops(self) -> int:
        if self._socket is None:
            return self._kernel_drops
        try:
            raw = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        except OSError:  # a kernel before 4.12
            return self._kernel_drops
        return (
            int(_MEMINFO.unpack(raw)[_DROPS]) if len(raw) == _MEMINFO.size else self._kernel_drops
        )

    def _read(self, *, on: bool) -> None:
        if self._socket is None or on == self._reading:
            return
        self._reading = on
        loop = asyncio.get_running_loop()
        if on:
            loop.add_reader(self._socket.fileno(), self._drain)
        else:
            loop.remove_reader(self._socket.fileno())

    def _drain(self) -> None:
        receive = self._socket.recvfrom if self._socket else None
        moment = now()
        for _ in range(_PER_WAKE_UP if receive else 0):
            try:
                body, address = receive(65536)  # type: ignore[misc]
            except OSError:  # nothing more; or the answer of an earlier peer, which concerns nobody
                break
            self._take(body, address[0], moment)
        self._start_pump()
        full = self._in_hand >= _IN_HAND or self._hand_bytes >= _IN_HAND_BYTES
        if full:  # let the kernel's buffer fill, and its drops be counted
            self._read(on=False)

    def _take(self, body: bytes, address: str, moment: int) -> None:
        intake = self._intake
        identity = intake.by_address(self.name, address)
        if identity is None:
            intake.knock(self.name, address, len(body))
            return
        tally = intake.counters.of(self.name, identity.source)
        assembled = body and starts.wanted(identity.assemble, identity.product) == AUDIT
        if not assembled:
            tally.take(1, len(body), moment)
        if not body:
            tally.drop("empty")
            return
        if intake.rates.owes(identity.source, time.monotonic()) > 0:
            tally.drop("rate")
            return
        intake.rates.take(identity.source, 1, time.monotonic())
        if len(body) > intake.limits.record:
            body = body[: intake.limits.record]
            tally.note("cut")
        if assembled:
            self._assemble(identity.source, address, body, moment)
        else:
            self._hand_on(Draft(identity.source, moment, body, peer=address))

    def _hand_on(self, draft: Draft) -> None:
        self._hands.setdefault(draft.source, []).append(draft)
        self._in_hand += 1
        self._hand_bytes += len(draft.body)

    def _assemble(self, source: str, address: str, body: bytes, moment: int) -> None:
        """Audit lines of one event; any other text of several lines is one datagram already."""
        key = (source, address)
        assembler = self._assemblers.get(key)
        if assembler is None:
            limits = self._intake.limits
            assembler = starts.assembler(AUDIT, seconds=limits.assemble, size=limits.record)
            self._assemblers[key] = assembler
        before = assembler.held
        self._whole(key, assembler.feed(body, moment, time.monotonic()))
        self._held += assembler.held - before
        if self._held > _HELD or len(self._assemblers) > _ASSEMBLERS:
            self._due(final=True)
            self._assemblers.clear()

    def _whole(self, key: tuple[str, str], found: list[Whole[int]]) -> None:
        for one in found:
            self._intake.counters.of(self.name, key[0]).take(1, len(one.body), one.tags[-1])
            identity = audit_identity(one.body)
            self._hand_on(Draft(key[0], one.tags[0], one.body, identity, key[1]))

    def _due(self, *, final: bool = False) -> None:
        """What has waited long enough in an assembler is a record."""
        for key, assembler in self._assemblers.items():
            self._whole(key, assembler.flush() if final else assembler.due(time.monotonic()))
        self._held = sum(one.held for one in self._assemblers.values())
        self._start_pump()

    def _start_pump(self) -> None:
        if self._hands and self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._store())

    async def _store(self) -> None:
        """One round at a time: what arrives meanwhile makes the next one larger."""
        try:
            while self._hands:
                hands, self._hands = self._hands, {}
                await asyncio.gather(*(self._store_one(source, d) for source, d in hands.items()))
                if not self._intake.stopping:
                    self._read(on=True)
        finally:
            self._pump = None

    async def _store_one(self, source: str, drafts: list[Draft]) -> None:
        try:
            await self._intake.store(self.name, source, drafts)
        except ServiceAwayError as error:
            reason = "spool_full" if error.http_status == 429 else "spool_failed"
            self._intake.counters.of(self.name, source).drop(reason, len(drafts))
        finally:
            self._in_hand -= len(drafts)
            self._hand_bytes -= sum(len(one.body) for one in drafts)
