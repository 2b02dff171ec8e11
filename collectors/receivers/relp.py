"""RELP (https://github.com/rsyslog/librelp, relp.html), with TLS if the listener has a certificate.
Delivery: acknowledged.

In: sessions of frames (`relp_frames`). Out: each ``syslog`` frame's data as one record; ``rsp 200`` for it
once it is on disk. What a client sends again after a lost session is recognised by the rule in `replay`,
acknowledged, counted as `repeated` and not stored again, however large it is (`relp_opening`). While the spool is
full nothing is read and nothing acknowledged. Invariants: acknowledgements go out in the order of the frames, and
a frame without one was either not stored, or is in the session's tail.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from typing import ClassVar, Final

from collectors.receivers import other_end
from collectors.receivers.assembly import Whole
from collectors.receivers.base import Delivery
from collectors.receivers.framing import FramingError
from collectors.receivers.relp_answers import Answers
from collectors.receivers.relp_frames import Frame, RelpFramer
from collectors.receivers.relp_opening import Opening
from collectors.receivers.replay import ALIVE, QUIET, Beyond, Tail
from collectors.receivers.stream import StreamReceiver
from collectors.receivers.stream_connection import StreamConnection
from collectors.spool import Draft

_OFFERS: Final = b"200 OK\nrelp_version=0\nrelp_software=thapcanh,1,https://relp\ncommands=syslog"
_LOOK_AGAIN: Final = 0.05
_EMPTIED_WITHIN: Final = 0.5
_HEARS_NO_MORE: Final = (
    1.0  # so long a session that is ended stays, for its client to read its answers
)


class _Session(StreamConnection):
    keeps_the_rest: ClassVar[bool] = True

    def __init__(self, receiver: StreamReceiver) -> None:
        super().__init__(receiver)
        self._framer = RelpFramer(self.intake.limits.record)
        self._opened = False
        self._answers = Answers(assembled=False)  # of the frames in hand or being stored
        self._stored_lines: frozenset[int] = frozenset()  # audit lines of before a restart
        self._closing: int | None = None  # the number of the close frame
        self._opening: Opening | None = None  # while it is not known whether it is a replay
        self._beyond: Beyond | None = None
        self._deaf = False  # it is at its end; its client will send again what is not answered
        self._unheard = 0.0  # when we last did not listen
        self._tail: Tail | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._probed: dict[Tail, float] = {}
        self._ending: asyncio.Task[None] | None = None

    # Frames in.

    def feed(self, data: bytes) -> None:
        if self._deaf:
            return
        cut = self._framer.cut
        try:
            frames = self._framer.feed(data)
        except FramingError:
            self._fail("bad_framing")
            return
        if self._framer.cut != cut:
            self.tally.note("cut", self._framer.cut - cut)
        start, count = 0, len(frames)
        while start < count and self._closing is None and not self._deaf:
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
            self._answers = Answers(assembled=True)
            self._stored_lines = self.intake.tails.audit_lines(source, self.peer)
        tails = self.intake.tails.of(source, self.peer)
        if tails:
            self._opening = Opening(tails, source, self.intake.hands)
        else:
            self._begin()

    def _records(self, frames: list[Frame]) -> None:
        opening = self._opening
        if opening is None:
            self._take(frames)
            return
        assert self.identity is not None
        source = self.identity.source
        if not opening.frames and self.intake.tails.is_new(source, self.peer, hash(frames[0].data)):
            self._opening = None
            self._begin()
            self._take(frames)
            return
        opening.add(frames)
        if opening.full and not opening.match.waiting:  # it waits for others, and needs no more
            self.hold_up("undecided", on=True)
        self._wait_for_room(source)
        self._decide()

    # Replay or new.

    def _decide(self, *, final: bool = False) -> None:
        """When it is known which of the first frames are a replay: answer those, and take the others."""
        opening, moment = self._opening, time.monotonic()
        if opening is None or self.lost.is_set():
            return
        waiting = opening.match.waiting
        if waiting and opening.frames and self.held_up:
            self._unheard = moment
            self._look_again()
            return
        quiet = moment - max(self.last, self._unheard) > QUIET
        found = opening.match.replayed()
        if (
            not opening.frames
            or (waiting and not quiet and not final)
            or self._must_wait(opening, found)
        ):
            if opening.frames:
                self._look_again()
            return
        self._opening = None
        frames = opening.let_go()
        self.hold_up("undecided", on=False)
        if found is None:
            self._take_as_new(opening, frames)
            return
        tail, length = found
        self._tail = tail
        self.session = tail.session
        self.intake.tails.take_over(tail, self)
        tail.unacknowledged = 0
        self.tally.repeated += length
        self._acknowledge([frame.txnr for frame in frames[:length]])
        if length < opening.without_body:
            self._ask_again()
            return
        self._take(frames[length:])
        self._close_if_done()

    def _take_as_new(self, opening: Opening, frames: list[Frame]) -> None:
        assert self.identity is not None
        if opening.without_body:
            tails, source = self.intake.tails, self.identity.source
            tails.find_new(source, self.peer, opening.first, sure=not opening.match.waiting)
            self._ask_again()
            return
        self._beyond = Beyond(opening.match.tails)
        self._begin()
        self._take(frames)

    def _ask_again(self) -> None:
        """What is not answered and whose bytes are let go comes again in the client's next session."""
        self.tally.note("asked_again")
        self._deaf = True
        if self.transport is not None:
            self.transport.write(b"0 serverclose 0\n")
            asyncio.get_running_loop().call_later(_HEARS_NO_MORE, self.transport.abort)

    def _must_wait(self, opening: Opening, found: tuple[Tail, int] | None) -> bool:
        """For the tail's last records to be on disk, or for its old connection to be found dead."""
        if found is None:
            return False
        tail = found[0]
        owner = tail.owner
        if isinstance(owner, _Session) and not owner.lost.is_set():
            asked = self._probed.setdefault(tail, time.monotonic())
            other_end.ask(owner.transport)
            if time.monotonic() - asked > ALIVE:
                if owner.last > asked or opening.match.proves_nothing(*found):
                    opening.match.exclude(tail)
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
        hashes = [hash(body) for body in bodies]
        if self._beyond is not None and (twice := self._beyond.feed(hashes)):
            self.tally.note("replay_too_long", twice)
        self._tail.add(hashes)
        self._tail.unacknowledged += len(bodies)
        self._tail.pending += len(bodies)
        self._answers.take(frame.txnr for frame in frames)
        if self.assembler is None:
            self.take(bodies)
            return
        moment = time.monotonic()
        for frame in frames:
            if self._stored_lines and hash(frame.data) in self._stored_lines:
                self.tally.repeated += 1
                self._answers.known(frame.txnr)
            else:
                self.whole(self.assembler.feed(frame.data, frame.txnr, moment))
        if numbers := self._answers.stored(0):
            self._tell(numbers)

    def whole(self, found: list[Whole[int]]) -> None:
        for one in found:
            self._answers.record(one.tags)
        super().whole(found)

    def stored(self, batch: list[Draft]) -> None:
        self._tell(self._answers.stored(len(batch)))
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
        if self._opening is not None:
            if self.transport:
                self.transport.abort()
            return
        if self.pump is not None:
            await asyncio.wait({self.pump})
        tail, deadline = self._tail, time.monotonic() + _EMPTIED_WITHIN
        while not self.lost.is_set() and time.monotonic() < deadline:
            if self.transport and other_end.all_confirmed(self.transport):
                if tail is not None and not tail.unacknowledged:
                    with contextlib.suppress(OSError):  # of the note of it: a full disk
                        self.intake.tails.tell(tail)
                break
            await asyncio.sleep(0.01)
        if self.transport:
            self.transport.close()

    def _close_if_done(self) -> None:
        """Answer the close frame when all before it is answered."""
        undecided = self._opening is not None and self._opening.frames
        if self._closing is None or self._answers or undecided or self.transport is None:
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
        if self._opening is not None:
            self._opening.let_go()
            self._opening = None
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

    def begun(self) -> int:
        return self._framer.held

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
