"""RELP (https://github.com/rsyslog/librelp, relp.html), with TLS if the listener has a certificate.
Delivery: acknowledged.

In: sessions of frames (`relp_frames`). Out: each ``syslog`` frame's data as one record; ``rsp 200`` for it
once it is on disk. What a client sends again after a lost session is recognised by the rule in `replay`,
acknowledged, counted as `repeated` and not stored again. While the spool is full nothing is read and
nothing acknowledged. What may be a replay takes of its source's memory (`hands`) as well; a session that waits
with more of it than there is room for is ended: its client keeps it. Invariants: acknowledgements go out in the
order of the frames, and a frame without one was either not stored, or is in the session's tail.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import secrets
import socket
import struct
import termios
import time
from collections import deque
from typing import ClassVar, Final

from collectors.receivers.assembly import Whole
from collectors.receivers.base import Delivery
from collectors.receivers.framing import FramingError
from collectors.receivers.relp_frames import Frame, RelpFramer
from collectors.receivers.replay import ALIVE, QUIET, Match, Tail
from collectors.receivers.stream import HIGH_WATER, StreamConnection, StreamReceiver
from collectors.spool import Draft

_OFFERS: Final = b"200 OK\nrelp_version=0\nrelp_software=thapcanh,1,https://relp\ncommands=syslog"
_LOOK_AGAIN: Final = 0.05
_EMPTIED_WITHIN: Final = 0.5
_FRAME: Final = (
    100  # bytes that a frame takes beside its data, roughly: one without data is not for nothing
)


class _Session(StreamConnection):
    keeps_the_rest: ClassVar[bool] = True

    def __init__(self, receiver: StreamReceiver) -> None:
        super().__init__(receiver)
        self._framer = RelpFramer(self.intake.limits.record)
        self._opened = False
        self._unanswered: deque[int] = deque()  # numbers of the frames in hand or being stored
        self._wholes: deque[list[int]] = deque()  # those of each assembled record in hand
        self._done: set[int] = set()  # stored, but an earlier one is held in the assembler
        self._stored_lines: frozenset[int] = frozenset()  # audit lines of before a restart
        self._closing: int | None = None  # the number of the close frame
        self._match: Match | None = None
        self._held: list[Frame] = []  # while it is not known whether they are a replay
        self._held_bytes = 0
        self._unheard = 0.0  # when we last did not listen
        self._tail: Tail | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._probed: dict[Tail, float] = {}
        self._ending: asyncio.Task[None] | None = None

    # Frames in.

    def feed(self, data: bytes) -> None:
        cut = self._framer.cut
        try:
            frames = self._framer.feed(data)
        except FramingError:
            self._fail("bad_framing")
            return
        if self._framer.cut != cut:
            self.tally.note("cut", self._framer.cut - cut)
        start, count = 0, len(frames)
        while start < count and self._closing is None:
            frame = frames[start]
            if frame.command != b"syslog":
                start += 1
                if not self._command(frame):
                    return
                continue
            if not self._opened:
                self._fail("not_opened")
                return
            end = start + 1
            while end < count and frames[end].command == b"syslog":
                end += 1
            self._records(frames[start:end])
            start = end

    def _command(self, frame: Frame) -> bool:
        """Answer a frame that is no record; False when the session is at its end."""
        if frame.command == b"open" and not self._opened:
            self._open(frame)
        elif frame.command == b"close":
            self._closing = frame.txnr
            self._decide(final=True)
            if self.assembler is not None:
                self.whole(self.assembler.flush())
            self._close_if_done()
        elif frame.command in {b"rsp", b"serverclose"}:
            self._fail("bad_framing")
            return False
        else:
            self._answer(frame.txnr, b"500 this command is not offered")
        return self._closing is None

    def _open(self, frame: Frame) -> None:
        assert self.identity is not None
        if b"syslog" not in _offered(frame.data):
            self._answer(frame.txnr, b"500 only the command syslog is offered")
            return
        self._opened = True
        self._answer(frame.txnr, _OFFERS)
        source = self.identity.source
        for other in list(
            self.receiver.open
        ):  # the client has come anew: what waits there comes again
            if other is not self and other.held_up and other.peer == self.peer and other.transport:
                other.transport.abort()
        if self.assembler is not None:
            self._stored_lines = self.intake.tails.audit_lines(source, self.peer)
        tails = self.intake.tails.of(source, self.peer)
        if tails:
            self._match = Match(tails)
        else:
            self._begin()

    def _records(self, frames: list[Frame]) -> None:
        if self._match is None:
            self._take(frames)
            return
        for frame in frames:
            self._match.feed(hash(frame.data))
        self._held += frames
        self._hold(sum(len(frame.data) + _FRAME for frame in frames))
        self._decide()

    def _hold(self, size: int) -> None:
        """Frames are undecided: they are in memory, and no sender has more of that for connecting often."""
        assert self.identity is not None
        source = self.identity.source
        self._held_bytes += size
        self.intake.hands.take(source, size)
        if self._held_bytes > HIGH_WATER:
            self.hold_up("undecided", on=True)
        self._wait_for_room(source)

    def _let_go(self) -> list[Frame]:
        """The undecided frames, which are decided or given up."""
        size, self._held_bytes = self._held_bytes, 0
        held, self._held = self._held, []
        if size and self.identity is not None:
            self.intake.hands.give_back(self.identity.source, size)
        return held

    # Replay or new.

    def _decide(self, *, final: bool = False) -> None:
        """When it is known which of the held frames are a replay: answer those, and take the others."""
        match = self._match
        if match is None or self.lost.is_set():
            return
        if self._held and "share" in self._held_up:
            self._unheard = time.monotonic()
            if self._unheard - self.last > ALIVE and self.transport:
                self.tally.note("undecided_too_much")
                self.transport.abort()
            else:
                self._look_again()
            return
        quiet = time.monotonic() - max(self.last, self._unheard) > QUIET
        found = match.replayed()
        if not self._held or (match.waiting and not quiet and not final) or self._must_wait(found):
            if self._held:
                self._look_again()
            return
        self._match = None
        held = self._let_go()
        self.hold_up("undecided", on=False)
        if found is None:
            self._begin()
            self._take(held)
            return
        tail, length = found
        self._tail = tail
        self.session = tail.session
        self.intake.tails.take_over(tail, self)
        tail.unacknowledged = 0
        self.tally.repeated += length
        self._acknowledge([frame.txnr for frame in held[:length]])
        self._take(held[length:])
        self._close_if_done()

    def _must_wait(self, found: tuple[Tail, int] | None) -> bool:
        """For the tail's last records to be on disk, or for its old connection to be found dead."""
        if found is None:
            return False
        tail = found[0]
        owner = tail.owner
        if isinstance(owner, _Session) and not owner.lost.is_set():
            asked = self._probed.setdefault(tail, time.monotonic())
            owner.probe()
            if time.monotonic() - asked > ALIVE and self._match:
                if owner.last > asked or self._match.proves_nothing(*found):
                    self._match.exclude(tail)
                elif owner.transport:  # a proxy holds it open; the client is here
                    owner.transport.abort()
            return True
        return tail.pending > 0

    def _look_again(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_AGAIN, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._decide(final=self._closing is not None)
        self._close_if_done()

    def probe(self) -> None:
        """Have the kernel ask the other end whether this connection still is; a dead one is lost then."""
        if (sock := self._socket) is not None:
            for option, value in (("IDLE", 1), ("INTVL", 1), ("CNT", 3)):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_KEEP{option}"), value)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def _begin(self) -> None:
        assert self.identity is not None
        self.session = secrets.randbits(32) | 1
        tails = self.intake.tails
        self._tail = tails.begin(self.identity.source, self.peer, self.session, self)

    # Records on, answers out.

    def _take(self, frames: list[Frame]) -> None:
        if not frames or self._tail is None:
            return
        bodies = [frame.data for frame in frames]
        self._tail.add(map(hash, bodies))
        self._tail.unacknowledged += len(bodies)
        self._tail.pending += len(bodies)
        self._unanswered.extend(frame.txnr for frame in frames)
        if self.assembler is None:
            self.take(bodies)
            return
        moment = time.monotonic()
        for frame in frames:
            if self._stored_lines and hash(frame.data) in self._stored_lines:
                self.tally.repeated += 1
                self._done.add(frame.txnr)
            else:
                self.whole(self.assembler.feed(frame.data, frame.txnr, moment))
        if self._done:
            self._tell(self._stored_numbers(0))

    def whole(self, found: list[Whole[int]]) -> None:
        self._wholes.extend(one.tags for one in found)
        super().whole(found)

    def _stored_numbers(self, records: int) -> list[int]:
        """Of the frames that can be answered, in their order."""
        if self.assembler is None:
            return [self._unanswered.popleft() for _ in range(records)]
        for _ in range(records):
            self._done.update(self._wholes.popleft())
        numbers = []
        while self._unanswered and self._unanswered[0] in self._done:
            numbers.append(self._unanswered.popleft())
        self._done.difference_update(numbers)
        return numbers

    def stored(self, batch: list[Draft]) -> None:
        self._tell(self._stored_numbers(len(batch)))
        self._close_if_done()

    def _tell(self, numbers: list[int]) -> None:
        """They are on disk."""
        assert self._tail is not None
        self._tail.pending -= len(numbers)
        if not self.lost.is_set() and self.transport and not self.transport.is_closing():
            self._tail.unacknowledged -= len(numbers)
            self._acknowledge(numbers)

    def _acknowledge(self, numbers: list[int]) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(b"".join([b"%d rsp 6 200 OK\n" % number for number in numbers]))
            self.tally.acknowledged += len(numbers)

    def _answer(self, number: int, text: bytes) -> None:
        if self.transport is not None:
            self.transport.write(b"%d rsp %d %s\n" % (number, len(text), text))

    # The end.

    def eof_received(self) -> bool:
        """What was received is still stored and answered. Who saw all answers may be a proxy (rule 1)."""
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end_of_stream())
        return self.transport is not None and self.transport.get_extra_info("ssl_object") is None

    async def _end_of_stream(self) -> None:
        if self._match is not None:
            if self.transport:
                self.transport.abort()
            return
        if self.pump is not None:
            await asyncio.wait({self.pump})
        tail, deadline = self._tail, time.monotonic() + _EMPTIED_WITHIN
        while not self.lost.is_set() and time.monotonic() < deadline:
            if self._all_read():
                if tail is not None and not tail.unacknowledged:
                    with contextlib.suppress(OSError):  # of the note of it: a full disk
                        self.intake.tails.tell(tail)
                break
            await asyncio.sleep(0.01)
        if self.transport:
            self.transport.close()

    @property
    def _socket(self) -> socket.socket | None:
        found: socket.socket | None = (
            self.transport.get_extra_info("socket") if self.transport else None
        )
        return found if found is not None and found.fileno() >= 0 else None

    def _all_read(self) -> bool:
        """Whether the other end's kernel has confirmed every byte of ours. A program that ends with
        some of them unread resets the connection instead of closing it."""
        sock = self._socket
        if sock is None or self.transport is None or self.transport.get_write_buffer_size():
            return False
        with contextlib.suppress(OSError):
            left = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
            return bool(left == 0)
        return False

    def _close_if_done(self) -> None:
        """Answer the close frame when all before it is answered."""
        if self._closing is None or self._unanswered or self._held or self.transport is None:
            return
        if self.transport.is_closing():
            return
        if self._tail is not None and not self._tail.unacknowledged:
            self._forget(self._tail)
        self.transport.write(b"%d rsp 0\n0 serverclose 0\n" % self._closing)
        self.transport.close()

    def _forget(self, tail: Tail) -> None:
        """The client has all its answers: nothing of this session will be sent again."""
        if self.identity is not None:
            with contextlib.suppress(OSError):  # of the note of it: a full disk
                self.intake.tails.close(self.identity.source, self.peer, tail)
            self._tail = None

    def _fail(self, note: str) -> None:
        self.tally.note(note)
        if self.transport is not None:
            self.transport.abort()

    def ended(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._match = None
        self._let_go()
        if self._framer.unfinished:
            self.tally.note("unfinished")
        tail = self._tail
        if tail is not None and self.identity is not None and tail.owner is self:
            if tail.hashes:
                self.intake.tails.end(self.identity.source, self.peer, tail, told=tail.told)
            else:
                self.intake.tails.forget(self.identity.source, self.peer, tail)

    def unfinished(self) -> bool:
        return bool(self._framer.unfinished)

    async def finish(self, deadline: float) -> None:
        """What was not acknowledged comes again, so nothing more is read."""
        self.hold_up("stopping", on=True)
        await self.pumped(deadline)
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(b"0 serverclose 0\n")
            self.transport.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.1, deadline - time.monotonic())):
                await self.lost.wait()


def _offered(data: bytes) -> list[bytes]:
    """The commands that an open frame names; one that names none means syslog."""
    for line in data.splitlines():
        name, _, value = line.partition(b"=")
        if name == b"commands":
            return [command.strip() for command in value.split(b",")]
    return [b"syslog"]


class Relp(StreamReceiver):
    delivery: ClassVar[Delivery] = Delivery.ACKNOWLEDGED
    connection = _Session
