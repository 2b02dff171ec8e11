"""A connection of a receiver over TCP: who it is, its limits, storing in order.

In: what the socket gives. Out: batches into the intake, one at a time and in order. A transport is a `StreamConnection`
with its own `feed`, and what else it needs; `stream` is what makes them. A full spool stops the reading, so that the
sender's own queue fills; so does a sender that does not read its answers. Invariant: what is in memory of a source is
counted (`hands`): what waits for the spool, and, apart from it, what is not whole yet.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ClassVar, Final

from collectors.receivers import certificates, proxy_protocol, starts
from collectors.receivers.assembly import AUDIT, Assembler, Whole, audit_identity
from collectors.receivers.counters import Tally
from collectors.receivers.directory import SourceIdentity
from collectors.receivers.framing import FramingError
from collectors.receivers.intake import now
from collectors.spool import Draft
from pipeline.model.errors import ServiceAwayError

if TYPE_CHECKING:
    from collectors.receivers.stream import StreamReceiver

HIGH_WATER: Final = 4 << 20
_TRY_AGAIN: Final = 0.5
_HEAD_WITHIN: Final = 10.0


class StreamConnection(asyncio.Protocol):
    """`hand` is what was received and is not being stored yet. `keeps_the_rest`: the sender keeps what was not
    acknowledged, and frames texts of several lines itself."""

    keeps_the_rest: ClassVar[bool] = False

    def __init__(self, receiver: StreamReceiver) -> None:
        self.receiver, self.intake = receiver, receiver.intake
        self.transport: asyncio.Transport | None = None
        self.identity: SourceIdentity | None = None
        self.peer = self.told = ""  # `told` by a proxy before the connection began
        self.certificate: tuple[str, ...] = ()
        self.session = 0
        self._proxied: bytes | None = None  # the head of the PROXY protocol, as far as it came
        self.last = time.monotonic()
        self.lost = asyncio.Event()
        self.pump: asyncio.Task[None] | None = None
        self.hand: list[Draft] = []
        self._hand_bytes = 0
        self._incomplete = 0  # bytes of what is not whole yet, as they are counted
        self._held_up: set[str] = set()
        self.assembler: Assembler[int] | None = None
        self.assembled_by = ""

    # What a transport fills in.

    def feed(self, data: bytes) -> None:
        """Called with what was read from a known sender."""
        raise NotImplementedError

    def ended(self) -> None:
        """The connection of a known sender is gone."""

    def stored(self, batch: list[Draft]) -> None:
        """`batch` is on disk."""

    def unfinished(self) -> bool:
        """Whether the sender owes the rest of a record."""
        return False

    def begun(self) -> int:
        """Bytes in memory of a record whose rest is owed."""
        return 0

    async def finish(self, deadline: float) -> None:
        """Take no more, store what is in hand, close."""
        raise NotImplementedError

    # What is the same for all.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self.peer = self.told or (peer[0] if peer else "")
        if not self.told and proxy_protocol.is_proxy(self.peer, self.receiver.proxies):
            self._proxied = b""
            asyncio.get_running_loop().call_later(_HEAD_WITHIN, self._without_head)
            return
        self._enter(transport)

    def _without_head(self) -> None:
        if self._proxied is not None and self.transport is not None:
            self._proxied = None
            self.tally.note("bad_proxy_head")
            self.transport.abort()

    def _read_head(self, transport: asyncio.Transport, data: bytes) -> None:
        """Until the proxy has said whose connection it is; then as if the sender had come itself."""
        self._proxied = (self._proxied or b"") + data
        try:
            found = proxy_protocol.sender(self._proxied)
        except FramingError:
            self._without_head()
            return
        if found is None:
            return
        (address, end), rest = found, self._proxied
        self._proxied = None
        self.peer = address or self.peer
        self._enter(transport)
        if len(rest) > end:
            self.data_received(rest[end:])

    def _enter(self, transport: asyncio.Transport) -> None:
        """Find out who it is, and whether there is room."""
        self.certificate = certificates.names_of(transport.get_extra_info("ssl_object"))
        self.identity = self.receiver.identify(self)
        if self.identity is None:
            shown, known_by = (
                (self.certificate[0], "certificate") if self.certificate else (self.peer, "address")
            )
            self.intake.knock(self.receiver.name, shown, known_by=known_by)
            transport.abort()
            return
        if self._too_many():
            self.tally.note("connections_refused")
            self.identity = None
            transport.abort()
            return
        self._begin_assembling(self.identity)
        self.receiver.open.add(self)
        self.tally.connections += 1
        self._wait_for_room(self.identity.source)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self._proxied = None
        if self.identity is None:
            return
        self.tally.connections -= 1
        self.ended()
        if self.assembler is not None and not (self.intake.stopping and self.keeps_the_rest):
            self.whole(self.assembler.flush())
        self._count(0)
        if self.pump is None:
            self.receiver.open.discard(self)

    def data_received(self, data: bytes) -> None:
        if self._proxied is not None and self.transport is not None:
            self._read_head(self.transport, data)
            return
        if self.identity is None or self.transport is None:
            return
        self.last = time.monotonic()
        self.feed(data)
        self.count_incomplete()

    def pause_writing(self) -> None:
        self.hold_up("answers", on=True)

    def resume_writing(self) -> None:
        self.hold_up("answers", on=False)

    @property
    def tally(self) -> Tally:
        source = self.identity.source if self.identity else ""
        return self.intake.counters.of(self.receiver.name, source)

    @property
    def held_up(self) -> bool:
        """Whether nothing is read at present."""
        return bool(self._held_up)

    def take(self, records: list[bytes]) -> None:
        """Received, and to be stored in this order; of some sources first assembled."""
        if self.assembler is None:
            self.hand_on(records)
            return
        moment = time.monotonic()
        for record in records:
            self.whole(self.assembler.feed(record, 0, moment))

    def whole(self, found: list[Whole[int]]) -> None:
        """Records that the assembler has closed."""
        self.hand_on([one.body for one in found])

    def hand_on(self, records: list[bytes]) -> None:
        if not records or self.identity is None:
            return
        moment, source, size = now(), self.identity.source, sum(map(len, records))
        self.tally.take(len(records), size, moment)
        peer, session = self.peer, self.session
        wait = self.intake.rates.take(source, len(records), time.monotonic())
        if wait:
            self._slow_down(wait)
        audit = self.assembled_by == AUDIT
        self.hand += [
            Draft(source, moment, body, audit_identity(body) if audit else b"", peer, "", session)
            for body in records
        ]
        self._hand_bytes += size
        self.intake.hands.take(source, size)
        if self._hand_bytes > HIGH_WATER:
            self.hold_up("hand", on=True)
        self._wait_for_room(source)
        if self.pump is None:
            self.pump = asyncio.get_running_loop().create_task(self._store())

    def _wait_for_room(self, source: str) -> None:
        """Its source holds as much memory as it may, over all its connections: none is read."""
        if "share" not in self._held_up and self.intake.hands.room(source) <= 0:
            self.hold_up("share", on=True)
            self.intake.hands.wait(source, lambda: self.hold_up("share", on=False))

    def _slow_down(self, seconds: float) -> None:
        """Its source sends too fast: nothing is read of it for a while, and its own queue fills."""
        if "rate" not in self._held_up:
            self.tally.note("rate_limited")
            self.hold_up("rate", on=True)
            asyncio.get_running_loop().call_later(seconds, lambda: self.hold_up("rate", on=False))

    def hold_up(self, why: str, *, on: bool) -> None:
        """Stop reading for a reason, or take the reason back."""
        before = bool(self._held_up)
        (self._held_up.add if on else self._held_up.discard)(why)
        if self.transport is None or before == bool(self._held_up) or self.transport.is_closing():
            return
        if on:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def close_if_stuck(self, oldest: float) -> None:
        """Closed when it owes a rest, or does not read its answers, since before `oldest`."""
        owes = self.unfinished() and not self.held_up
        if (owes or "answers" in self._held_up) and self.last < oldest and self.transport:
            self.tally.note("stuck")
            self.transport.abort()

    def close_if_unknown(self) -> None:
        """Closed when it is no longer the source that it was: what is in hand is still stored."""
        if self.identity is None or self.transport is None or self.transport.is_closing():
            return
        if self.receiver.identify(self) != self.identity:
            self.tally.note("no_longer_known")
            self.transport.abort()

    def incomplete(self) -> int:
        """Bytes in memory of records that are not whole."""
        return self.begun() + (self.assembler.held if self.assembler is not None else 0)

    def count_incomplete(self) -> None:
        """If its source has too much of that, over all its connections: lines wait for no more, then it is closed."""
        if self.identity is None or self.lost.is_set():
            return
        room, source = self.intake.unfinished.room, self.identity.source
        self._count(self.incomplete())
        if not self._incomplete or room(source) >= 0 or self.transport is None:
            return
        if self.assembler is not None and self.assembler.held:
            self.tally.note("assembled_early")
            self.whole(self.assembler.flush())
            self._count(self.incomplete())
        if self._incomplete and room(source) < 0 and not self.transport.is_closing():
            self.tally.note("unfinished_too_much")
            self._count(0)
            self.transport.abort()

    def _count(self, size: int) -> None:
        more, self._incomplete = size - self._incomplete, size
        if self.identity is not None and more > 0:
            self.intake.unfinished.take(self.identity.source, more)
        elif self.identity is not None and more:
            self.intake.unfinished.give_back(self.identity.source, -more)

    async def pumped(self, deadline: float) -> None:
        """Until all that is in hand is stored, or it is too late."""
        while self.pump is not None and time.monotonic() < deadline:
            await asyncio.wait({self.pump}, timeout=max(0.0, deadline - time.monotonic()))

    def due(self) -> None:
        """What has waited long enough in the assembler is a record."""
        if self.assembler is not None and len(self.assembler):
            self.whole(self.assembler.due(time.monotonic()))

    def _begin_assembling(self, identity: SourceIdentity) -> None:
        chosen = starts.wanted(identity.assemble, identity.product)
        if chosen and (chosen == AUDIT or not self.keeps_the_rest):
            limits = self.intake.limits
            self.assembled_by = chosen
            self.assembler = starts.assembler(chosen, seconds=limits.assemble, size=limits.record)

    def _too_many(self) -> bool:
        limits = self.intake.limits
        return (
            len(self.receiver.open) >= limits.connections
            or self.tally.connections >= limits.connections_per_source
        )

    async def _store(self) -> None:
        """One batch at a time; while the spool is full nothing is read, and the batch waits."""
        try:
            while self.hand:
                batch, self.hand = self.hand, []
                size, self._hand_bytes = self._hand_bytes, 0
                try:
                    if not await self._store_batch(batch):
                        continue
                finally:
                    self.intake.hands.give_back(batch[0].source, size)
                self.stored(batch)
                self.hold_up("hand", on=False)
        finally:
            self.pump = None
            if self.lost.is_set():
                self.receiver.open.discard(self)

    async def _store_batch(self, batch: list[Draft]) -> bool:
        source = batch[0].source
        while True:
            try:
                await self.intake.store(self.receiver.name, source, batch)
            except ServiceAwayError as error:
                self.hold_up("hand", on=True)
                if self.intake.stopping:
                    reason = "spool_full" if error.http_status == 429 else "spool_failed"
                    self.tally.drop(reason, len(batch))
                    return False
                await asyncio.sleep(_TRY_AGAIN)
            else:
                return True
