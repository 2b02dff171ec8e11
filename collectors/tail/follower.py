"""One content, followed: its bytes from where they were left, as records with their places.

In: an entry, its open content, the time. Out: `Piece` values, then `commit` when they are on disk. A last line
without its end waits for the rest under a time limit; a line longer than the limit is cut, the rest of it skipped.
Invariant: `entry.offset` moves over a byte only when the record that it belongs to is in the spool.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Final, NamedTuple

from collectors.receivers.assembly import Assembler, Whole, audit_key
from collectors.tail import content as contents
from collectors.tail.known import Entry
from collectors.tail.scan import Found

READ: Final = 1 << 20
_BOMS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BLANK: Final = b"\r\n\0 \t"
Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How an input is read. `newline` is the line end in the source's encoding. Times in seconds."""

    record: int = 1 << 20
    partial: float = 5.0
    settle: float = 10.0
    newline: bytes = b"\n"


class Piece(NamedTuple):
    """A record; `lines` counts those it was assembled of."""

    follower: Follower
    offset: int
    body: bytes
    lines: int
    cut: bool


class Follower:
    """`place` is how far was read, `rest` the unfinished line before it."""

    def __init__(self, entry: Entry, ways: Ways, assembler: Assembler[Span] | None) -> None:
        self.entry, self.ways, self.assembler = entry, ways, assembler
        self.place, self.rest = entry.offset, b""
        self.skipping = entry.skipping
        self.content: contents.Content | None = None
        self.seen: Found | None = None
        self.grown = 0.0
        self.missing: float | None = None
        self.ended = entry.ended
        self._owed: dict[object, int] = {}  # lines of records that are in the spool already
        self._return = ways.newline.replace(b"\n", b"\r")

    def read(self, now: float) -> tuple[list[Piece], bool]:
        """The records that the next bytes complete, and whether there may be more bytes at once."""
        assert self.content is not None
        block = self.content.read(self.place, READ)
        if block and not self._still(self.content, self.place + len(block)):
            return [], False  # the next look sees it
        pieces: list[Piece] = []
        if block:
            self.grown = now
            self._split(block, pieces, now)
        elif self.content.packed:
            pieces += self.finish(now)
            self.ended = True
        return pieces + self._late(now), len(block) == READ

    def _still(self, content: contents.Content, read: int) -> bool:
        """Whether what was read up to there is of this content: asked afterwards, as the file may have been emptied, and
        written to, at any time since the look at it."""
        size, mark = content.size(), self.entry.mark
        if size is None:
            return True
        return size >= read and (mark is None or contents.bears(content, mark))

    def _split(self, block: bytes, pieces: list[Piece], now: float) -> None:
        newline, width = self.ways.newline, len(self.ways.newline)
        start = self.place - len(self.rest)
        data = self.rest + block if self.rest else block
        self.place += len(block)
        at, search = 0, max(0, (len(self.rest) // width) * width - width)
        while (end := data.find(newline, search)) != -1:
            if (end - at) % width:
                search = end + 1
                continue
            if self.skipping:
                self.skipping = False
            else:
                self._line(data[at:end], start + at, start + end + width, pieces, now)
            at = search = end + width
        self.rest = data[at:]
        if len(self.rest) > self.ways.record or (self.skipping and self.rest):
            if not self.skipping:
                self._line(self.rest, self.place - len(self.rest), self.place, pieces, now)
            self.skipping = True
            keep = len(self.rest) % width
            self.rest = self.rest[len(self.rest) - keep :] if keep else b""

    def _line(self, line: bytes, start: int, end: int, pieces: list[Piece], now: float) -> None:
        limit = self.ways.record
        if start == 0 and len(self.ways.newline) > 1 and line[:2] in _BOMS:
            line, start = line[2:], 2
        cut = len(line) > limit
        line = line[:limit]
        text = line.removesuffix(self._return)
        blank = not text.strip(_BLANK)
        if self.assembler is None or cut or (blank and not len(self.assembler)):
            if not blank and not self._known(line, start):
                pieces.append(Piece(self, start, line if cut else text, 1, cut))
            return
        if self._known(line, start):
            return
        for whole in self.assembler.feed(line, (start, end), now):
            pieces.append(self._piece(whole))

    def _known(self, line: bytes, start: int) -> bool:
        """Whether the line is of a record that is in the spool already (after a restart)."""
        beyond = self.entry.beyond
        if not beyond and not self._owed:
            return False
        found = audit_key(line)
        key: object = found[0] if found else start
        if start in beyond:
            self._owed[key] = beyond[start]
        left = self._owed.get(key, 0)
        if left == 1:
            del self._owed[key]
        elif left:
            self._owed[key] = left - 1
        return left > 0

    def _piece(self, whole: Whole[Span]) -> Piece:
        body = whole.body.removesuffix(self._return)
        return Piece(self, whole.tags[0][0], body, len(whole.tags), cut=False)

    def _late(self, now: float) -> list[Piece]:
        pieces: list[Piece] = []
        if self.rest and now - self.grown >= self.ways.partial:
            self._take_rest(pieces, now)
        if self.assembler is not None and len(self.assembler):
            pieces += map(self._piece, self.assembler.due(now))
        return pieces

    def _take_rest(self, pieces: list[Piece], now: float) -> None:
        rest, self.rest = self.rest, b""
        if rest and not self.skipping:
            self._line(rest, self.place - len(rest), self.place, pieces, now)

    def finish(self, now: float, *, rest: bool = True) -> list[Piece]:
        """Nothing more comes: what is held becomes records."""
        pieces: list[Piece] = []
        if rest:
            self._take_rest(pieces, now)
        if self.assembler is not None:
            pieces += map(self._piece, self.assembler.flush())
        return pieces

    @property
    def waits(self) -> bool:
        """Whether time alone may make a record of what is held."""
        return bool(self.rest) or (self.assembler is not None and len(self.assembler) > 0)

    def commit(self, stored: list[Piece]) -> None:
        """`stored` are on disk, and all pieces before them."""
        entry = self.entry
        spans = self.assembler.tags() if self.assembler is not None else []
        done = min([self.place - len(self.rest), *(start for start, _ in spans)])
        if spans:
            entry.beyond |= {one.offset: one.lines for one in stored}
        entry.beyond = {at: n for at, n in entry.beyond.items() if at >= done}
        entry.offset, entry.skipping, entry.ended = done, self.skipping, self.ended
        content = self.content
        if content is None or content.packed or not done:
            return
        mark = contents.mark(content, done, entry.mark)
        if mark is not None and (entry.mark is None or contents.bears(content, entry.mark)):
            entry.remember(mark)

    def close(self) -> None:
        if self.content is not None:
            self.content.close()
            self.content = None
