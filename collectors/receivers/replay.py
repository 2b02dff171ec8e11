"""Which frames of a new session are a replay of what an earlier one brought, and which are new.

A RELP client keeps what was not acknowledged, and after a lost connection sends all of it again, in order,
before anything new. What was stored, but whose acknowledgement did not reach the client, comes twice. In:
hashes of records, in order. Out: how many of a new session's first records are stored already. Pure.

For each source and address the *tail* of each session is kept: its last `KEPT` records (so a client's window
may be that large), of 8 ended sessions each and 2,000 in all, however long ago; after a restart those are
known whose records are among the newest of the spool. The rule:

1. A session that the client ended with ``close`` has no tail: nothing of it will be sent again. Nothing
   less will do. That the other end confirmed every byte of our answers, and ended the connection in order,
   says that its kernel had them: it may be a proxy's, whose way to the client was broken. By the protocol
   a session without ``close`` is broken, and its client sends again what it has no answer to.
2. A new session's first records are compared with all tails. They are a replay when they fit a stretch of
   a tail *up to its end*, in order, and the stretch holds all that was surely not acknowledged.
   While they fit a stretch and have not reached the end, they wait, unacknowledged.
3. What does not fit is new. A line that equals an old one is new as well, anywhere else than there.
4. Where stretches of several lengths fit, the longest is the replay, unless the shorter differ from it only
   by repetitions of the same lines (``X X X``): then the shortest. So a line that repeats may be stored
   twice, but none that was acknowledged is ever lost for being equal to another in such a run.
5. A fit that stays incomplete and quiet for `QUIET` seconds is no replay. One that is cut off is forgotten,
   and comes again.
6. A fit to the tail of a connection that looks alive waits until that one is found dead. If it says nothing
   for `ALIVE` seconds it is one that a proxy holds open, and is ended; if it speaks, its client has several
   connections, and what fits is new.
7. Where a client has probably its answers (the end was in order and all was confirmed: `told`; or its
   connection looks alive) a stretch is a replay only if one of its lines came from
   this sender there and nowhere else in what is kept. A line that a sender is known to repeat (a sign of life
   without a time) proves nothing, and is rather stored twice than lost.
8. Audit lines name their event and come interleaved; the spool holds them by event, so that after a restart their
   order is not known. There a line is a replay if the very same one is among the last of a tail.
9. A replay of more records than `KEPT` begins before what is kept, and is stored twice. `Beyond` sees it, by the
   records that follow there, and says how many.

What a genuine repeat must look like to be taken for a replay: a client that ends its session without
``close`` and begins the next one with the very records that ended the last, at least one of them said only
once before. It is then answered and counted as `repeated`, which the source's health shows.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from pipeline.model.records import RawRecord

KEPT: Final = 1024
_SURE: Final = 8
_LOOKED_AT: Final = 65_536
QUIET: Final = 3.0
ALIVE: Final = 6.0
TOLD: Final = 1 << 40  # beside a session's number: what its end said
_PER_SENDER: Final = 8
_ENDED_AT_MOST: Final = 2000
_NEW_AT_MOST: Final = 2000


class Tail:
    """The last records of a session. The newest `unacknowledged` were never told to the client; of these
    the newest `pending` are not on disk yet. `owner` is the session that adds to it, None if it ended; `told`:
    it ended in order, and the other end's kernel had all answers."""

    def __init__(self, session: int) -> None:
        self.session = session
        self.hashes = array("q")
        self.audit_lines = array("q")  # of those recovered from the spool
        self.unacknowledged = 0
        self.pending = 0
        self.owner: object | None = None
        self.told = False

    def add(self, hashes: Iterable[int]) -> None:
        self.hashes.extend(hashes)
        if len(self.hashes) > 2 * KEPT:
            del self.hashes[:-KEPT]


class Match:
    """The first records of a new session against the tails there are, as they are now: one that grows
    meanwhile is no longer considered, as its client is at work elsewhere."""

    def __init__(self, tails: Iterable[Tail]) -> None:
        self._sizes = {tail: len(tail.hashes) for tail in tails}
        self._open: list[tuple[Tail, int]] = []
        self._fits: list[tuple[int, Tail]] = []
        self._count = 0

    @property
    def tails(self) -> list[Tail]:
        return list(self._sizes)

    @property
    def waiting(self) -> bool:
        """Whether further records may make it a longer fit."""
        return bool(self._open) or (self._count == 0 and bool(self._sizes))

    def feed(self, record: int) -> None:
        """The next record's hash."""
        if self._count == 0:
            places = [(tail, p) for tail in self._sizes for p in _places(tail, record)]
        else:
            places = [
                (tail, place)
                for tail, place in self._open
                if self._same(tail) and tail.hashes[place] == record
            ]
        self._count += 1
        self._open = []
        for tail, place in places:
            if place + 1 == self._sizes[tail]:
                self._fits.append((self._count, tail))
            else:
                self._open.append((tail, place + 1))

    def exclude(self, tail: Tail) -> None:
        """It is not this tail, whatever fits."""
        self._open = [entry for entry in self._open if entry[0] is not tail]
        self._fits = [entry for entry in self._fits if entry[1] is not tail]

    def replayed(self) -> tuple[Tail, int] | None:
        """The tail that is replayed and how many records of it, by what is known; None if none is."""
        fits = [(length, tail) for length, tail in self._fits if self._same(tail)]
        if not fits:
            return None
        length, tail = fits[-1]
        for shorter in sorted((n for n, t in fits if t is tail and n < length), reverse=True):
            if length - shorter <= shorter:
                length = shorter
        if tail.told and self.proves_nothing(tail, length):
            return None
        return tail, length

    def proves_nothing(self, tail: Tail, length: int) -> bool:
        """Whether each of the tail's last `length` records came from this sender elsewhere too (rule 7)."""
        if tail.unacknowledged:
            return False
        stretch, elsewhere = tail.hashes[-length:], set(tail.hashes[:-length])
        elsewhere.update(*(one.hashes for one in self._sizes if one is not tail))
        return elsewhere.issuperset(stretch)

    def _same(self, tail: Tail) -> bool:
        return len(tail.hashes) == self._sizes[tail]


class Beyond:
    """A session that was found to be new, and may yet be a replay of more than is kept: then it comes to where that
    begins, and goes on like it for so many records that it is no chance."""

    def __init__(self, tails: Iterable[Tail]) -> None:
        kept = [tail.hashes[-KEPT:] for tail in tails if len(tail.hashes) >= KEPT]
        self._kept = {one[0]: one[1:_SURE] for one in kept}
        self._run: array[int] | None = None  # what the next records would be
        self._count = 0

    def feed(self, hashes: Iterable[int]) -> int:
        """The session's next records. How many came twice, once, when it is sure; else 0."""
        if not self._kept:
            return 0
        for one in hashes:
            self._count += 1
            if self._run and self._run[0] == one:
                self._run = self._run[1:]
                if not self._run:
                    self._kept.clear()
                    return self._count - _SURE + KEPT
            else:
                self._run = self._kept.get(one)
        if self._count > _LOOKED_AT:
            self._kept.clear()
        return 0


def _places(tail: Tail, record: int) -> Iterable[int]:
    """Where in the tail a replay may begin with this record."""
    hashes, size = tail.hashes, len(tail.hashes)
    last = size - max(1, tail.unacknowledged)
    return (p for p in range(max(0, size - KEPT), last + 1) if hashes[p] == record)


def _lines(record: RawRecord) -> list[bytes]:
    """Those of an assembled audit record, which the client sent one by one."""
    return record.body.split(b"\n") if record.identity.startswith(b"a\0") else []


class Tails:
    """All tails of a collector, by source and address; of ended sessions the newest 2,000 are kept."""

    def __init__(self, note_ended: Callable[[int], None] | None = None) -> None:
        """`note_ended` is told the session of each tail that is closed; with `TOLD`, of each that ends so."""
        self._note_ended = note_ended
        self._of: dict[tuple[str, str], list[Tail]] = {}
        self._ended: OrderedDict[int, tuple[tuple[str, str], Tail]] = OrderedDict()
        self._new: OrderedDict[tuple[str, str], tuple[int, bool]] = OrderedDict()

    def of(self, source: str, peer: str) -> list[Tail]:
        return [tail for tail in self._of.get((source, peer), ()) if tail.hashes]

    def begin(self, source: str, peer: str, session: int, owner: object) -> Tail:
        tail = Tail(session)
        tail.owner = owner
        self._of.setdefault((source, peer), []).append(tail)
        return tail

    def take_over(self, tail: Tail, owner: object) -> None:
        """The tail goes on with another connection."""
        tail.owner, tail.told = owner, False
        self._ended.pop(id(tail), None)

    def end(self, source: str, peer: str, tail: Tail, *, told: bool = False) -> None:
        """The connection is gone; the client may come again and send the tail's end."""
        tail.owner, tail.told = None, told
        key = (source, peer)
        self._ended[id(tail)] = (key, tail)
        ended = [one for one in self._of.get(key, ()) if one.owner is None]
        for old in ended[:-_PER_SENDER]:
            self.forget(*key, old)
        while len(self._ended) > _ENDED_AT_MOST:
            (source, peer), old = next(iter(self._ended.values()))
            self.forget(source, peer, old)

    def tell(self, tail: Tail) -> None:
        """It ended in order, and the other end has all answers. Raises OSError when it cannot be noted."""
        tail.told = True
        if tail.hashes and self._note_ended is not None:
            self._note_ended(tail.session | TOLD)

    def close(self, source: str, peer: str, tail: Tail) -> None:
        """The client closed the session in order, and has all its acknowledgements."""
        self.forget(source, peer, tail)
        if tail.hashes and self._note_ended is not None:
            self._note_ended(tail.session)

    def forget(self, source: str, peer: str, tail: Tail) -> None:
        """It is compared with no session any more."""
        self._ended.pop(id(tail), None)
        left = [one for one in self._of.get((source, peer), ()) if one is not tail]
        if left:
            self._of[source, peer] = left
        else:
            self._of.pop((source, peer), None)

    def find_new(self, source: str, peer: str, first: int, *, sure: bool) -> None:
        """A session that begins with this record was found to be no replay, when its bytes were let go. One that
        only fell silent is not `sure`; twice it is."""
        key = (source, peer)
        known = self._new.pop(key, None)
        self._new[key] = (first, sure or (known is not None and known[0] == first))
        while len(self._new) > _NEW_AT_MOST:
            self._new.popitem(last=False)

    def is_new(self, source: str, peer: str, first: int) -> bool:
        """Asked once of the session that comes next."""
        known = self._new.get((source, peer))
        if known is None or (known[0] == first and not known[1]):
            return False
        del self._new[source, peer]
        return known[0] == first

    def audit_lines(self, source: str, peer: str) -> frozenset[int]:
        """The hashes of those that are stored, in whatever order they came."""
        return frozenset().union(*(tail.audit_lines for tail in self._of.get((source, peer), ())))

    def recover(self, records: Iterable[RawRecord], ended: frozenset[int] = frozenset()) -> None:
        """From the end of the spool, at start; `ended` is what `note_ended` was told: those closed are left out."""
        found: OrderedDict[tuple[str, str, int], Tail] = OrderedDict()
        for record in records:
            if record.session and record.session not in ended:
                key = (record.source, record.peer, record.session)
                tail = found.get(key)
                if tail is None:
                    tail = found[key] = Tail(record.session)
                lines = _lines(record)
                tail.add(map(hash, lines or [record.body]))
                tail.audit_lines.extend(map(hash, lines))
                del tail.audit_lines[: -2 * KEPT]
                found.move_to_end(key)
        for (source, peer, _), tail in found.items():
            self._of.setdefault((source, peer), []).append(tail)
            self.end(source, peer, tail, told=tail.session | TOLD in ended)
