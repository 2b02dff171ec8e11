"""The first frames of a RELP session, while it is not known whether they are a replay (the rule: `replay`).

In: frames, in order. Out: how they were decided, and those that are new. A replay may be as large as its client's
window, and its bytes are in the spool already: so beyond `BODIES` bytes, or when their source has no more room
(`hands`), only the frames' numbers and hashes are kept, and their bodies let go. That decides as well, in memory that
is bounded by the length of a tail. If such frames are new after all, the client has to send them again: its session is
ended, and the next one that begins alike is known to be new (`Tails.find_new`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from collectors.receivers.hands import Hands
from collectors.receivers.relp_frames import Frame
from collectors.receivers.replay import Match, Tail

BODIES: Final = 4 << 20
_FRAME: Final = 100
"""Bytes that a frame takes beside its data, roughly: one without data is not for nothing."""


class Opening:
    """What it holds counts as in memory of its source, until `let_go`."""

    def __init__(self, tails: Iterable[Tail], source: str, hands: Hands) -> None:
        self.match = Match(tails)
        self.frames: list[Frame] = []
        self.without_body = 0  # so many of the first
        self.first = 0  # the first record's hash
        self._source, self._hands, self._size = source, hands, 0

    @property
    def full(self) -> bool:
        return self._size > BODIES or self._hands.room(self._source) <= 0

    def add(self, frames: list[Frame]) -> None:
        """The session's next ones."""
        if not self.frames:
            self.first = hash(frames[0].data)
        for frame in frames:
            self.match.feed(hash(frame.data))
        self.frames += frames
        self._count(sum(len(frame.data) + _FRAME for frame in frames))
        if self.full and self.match.waiting:  # as yet all of them fit what is stored
            self._let_bodies_go()

    def let_go(self) -> list[Frame]:
        """The frames; they are decided or given up."""
        frames, self.frames = self.frames, []
        self._count(-self._size)
        return frames

    def _let_bodies_go(self) -> None:
        self.frames = [frame._replace(data=b"") for frame in self.frames]
        self.without_body = len(self.frames)
        self._count(_FRAME * len(self.frames) - self._size)

    def _count(self, size: int) -> None:
        self._size += size
        if size > 0:
            self._hands.take(self._source, size)
        elif size:
            self._hands.give_back(self._source, -size)
