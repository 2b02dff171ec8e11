"""All files of an input, turn by turn: found, recognised, read, stored, remembered.

In: patterns, what is known of files, a way to store. Out: records in the spool, each line of each content once.
What a file *is* follows from what it holds, not from its name:

 - the same inode that still bears its mark is the same content, whatever it is called now (rotation by rename);
 - an inode that is shorter than was read, or does not bear its mark, was emptied or reused: what it held is *gone*,
   it begins anew;
 - a new file that bears the mark of a content that is gone is its copy or its packed form (copytruncate, gzip): it
   is read on from where that was left, if it has so much: a line that was written after the copying, and read before
   the emptying, is in no copy. While such a content is still in its place (a copy is just being made) the
   new file waits `settle` seconds; then a plain one is a file of its own, a packed one was read already;
 - a packed file is looked at when it has not changed for `settle` seconds.

Of a file that was removed or renamed out of the patterns the rest is read as long as it is held open.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from collectors.files import HEAD, fingerprint_of
from collectors.receivers.assembly import Assembler
from collectors.tail import content as contents
from collectors.tail import scan
from collectors.tail.content import Mark
from collectors.tail.follower import Follower, Piece, Span, Ways
from collectors.tail.known import Entries, Entry
from collectors.unpack import DAMAGE

BATCH: Final = 4 << 20
_MOST_OPEN: Final = 200
Store = Callable[[list[Piece]], int]
"""Makes records durable and returns the last sequence; raises when that must be given up."""


class Tailer:
    """`troubles`: path → why it is not read. `handed_over`: the name of a content that
    begins so, and how much of it the source has ingested."""

    def __init__(
        self,
        entries: Entries,
        patterns: tuple[str, ...],
        ways: Ways,
        store: Store,
        *,
        assembler: Callable[[], Assembler[Span] | None] = lambda: None,
        handed_over: Callable[[bytes], tuple[str, int]] = lambda head: (fingerprint_of(head), 0),
    ) -> None:
        self.entries, self.patterns, self.ways = entries, patterns, ways
        self.troubles: dict[str, str] = {}
        self.files = 0
        self._store, self._assembler, self._handed_over = store, assembler, handed_over
        self._followers: dict[tuple[int, int], Follower] = {}
        self._undecided: dict[tuple[int, int], tuple[int, int, float, float]] = {}
        self._batch: list[Piece] = []
        self._touched: dict[int, Follower] = {}
        self._size = 0
        self._spared = False
        self._reopened: list[Follower] = []

    def turn(self, now: float) -> bool:
        """Look at every file once, read at most a block of each; whether there is more to read at once."""
        self.troubles = {}
        found: dict[tuple[int, int], scan.Found] = {}
        for one in scan.find(self.patterns, self.troubles).values():
            found.setdefault((one.device, one.inode), one)
        self.files = len(found)
        for key in [key for key in self._undecided if key not in found]:
            del self._undecided[key]
        fresh = [one for key, one in found.items() if not self._still(key, one, now)]
        self._miss(found, now)
        for one in fresh:
            self._decide(one, now)
        if self.entries.dirty:
            self.entries.save()
        more = False
        for follower in list(self._followers.values()):
            more = self._read(follower, now) or more
        self._let_go()
        self._spared = False
        if self.entries.dirty:
            self.entries.save()
        self._close_some()
        return more

    def close(self) -> None:
        """What is held is not stored: it is read again."""
        for follower in self._followers.values():
            follower.close()

    def _still(self, key: tuple[int, int], one: scan.Found, now: float) -> bool:
        """Whether it is the content that is known at this place."""
        entry = self.entries.here.get(key)
        if entry is None:
            return False
        follower = self._followers.get(key)
        if follower is not None and follower.seen is not None:
            before = follower.seen
            if (before.size, before.changed) == (one.size, one.changed):
                follower.seen, follower.missing, entry.path = one, None, one.path
                return True
        if entry.done == (one.size, one.changed) and entry.ended:
            return True
        content = self._open(one, follower)
        if content is None:
            return True  # it cannot be read now, and nothing is known to have changed
        if entry.done is not None:
            same = content.packed and entry.done == (one.size, one.changed)
        else:
            read = follower.place if follower else entry.offset
            same = not content.packed and _bears(content, entry, read)
        if not same:
            self._forget(entry, now, emptied=True)
            content.close()
            return False
        if follower is None:
            follower = self._follow(entry)
        follower.content, follower.seen, follower.missing = content, one, None
        self._spare(follower)
        if follower.grown == 0.0:
            follower.grown = now
        if entry.path != one.path:
            entry.path, self.entries.dirty = one.path, True
        return True

    def _miss(self, found: dict[tuple[int, int], scan.Found], now: float) -> None:
        """What is not to be found any more: read on while it is open, then let it go."""
        for key, entry in list(self.entries.here.items()):
            if key in found:
                continue
            if any(scan.under(entry.path, one) for one in self.troubles):
                continue  # a folder that cannot be read says nothing of its files
            follower = self._followers.get(key)
            if follower is None or follower.content is None:
                self._forget(entry, now)
            elif not _bears(follower.content, entry, follower.place):
                self._begin_anew(follower, now)
            elif follower.missing is None:
                follower.missing = now
            elif now - max(follower.missing, follower.grown) >= self.ways.settle:
                self._take(follower, follower.finish(now))
                self._flush()
                self._forget(entry, now)

    def _begin_anew(self, follower: Follower, now: float) -> None:
        """It was emptied, written to, and removed, since we looked: what it holds now is still to be had."""
        old, content, seen = follower.entry, follower.content, follower.seen
        place = (old.device, old.inode)
        follower.content = None
        self._forget(old, now, emptied=True)
        if content is None or not content.size():
            return
        entry = Entry(secrets.token_bytes(16), old.path, *place)
        entry.mark = contents.mark(content, len(content.read(0, HEAD)))
        self.entries.add(entry)
        follower = self._follow(entry)
        follower.content, follower.seen, follower.missing, follower.grown = content, seen, now, now

    def _forget(self, entry: Entry, now: float, *, emptied: bool = False) -> None:
        follower = self._followers.pop((entry.device, entry.inode), None)
        if follower is not None:
            follower.close()  # first: what stands there now is not what its mark is of
            self._take(follower, follower.finish(now, rest=False))
            self._flush()
        self.entries.lose(entry, emptied=emptied)

    def _decide(self, one: scan.Found, now: float) -> None:
        """What a file is that is not known at its place."""
        key = (one.device, one.inode)
        if one.size == 0:
            return
        size, changed, since, first = self._undecided.get(key, (-1, 0, math.inf, math.inf))
        same = (size, changed) == (one.size, one.changed)
        # `now` is of before the look, which may have taken long: times run from the first look after it.
        since = min(since, now) if same else math.inf
        first = min(first, now) if size >= 0 else math.inf
        self._undecided[key] = (one.size, one.changed, since, first)
        settle = self.ways.settle
        quiet = now - since >= settle or now - first >= 6 * settle
        content = self._open(one, None)
        if content is None:
            return
        try:
            if not content.packed or quiet:
                self._recognise(one, content, quiet=quiet)
        except contents.TooMuchError:
            self.troubles[one.path] = "unpacks to more than a log would"
        except (*DAMAGE, OSError) as error:
            self.troubles[one.path] = f"cannot be read: {error}"
        finally:
            follower = self._followers.get(key)
            if follower is None:
                content.close()
            else:
                follower.content, follower.seen, follower.grown = content, one, now
                self._spare(follower)

    def _recognise(self, one: scan.Found, content: contents.Content, *, quiet: bool) -> None:
        key, head = (one.device, one.inode), content.read(0, HEAD)
        entry = self._gone(key, content, head)
        if entry is not None:
            self._shorten(entry, content)
            self.entries.move(entry, *key, one.path)
        else:
            alike = [
                e
                for e in self.entries.here.values()
                if _begins_alike(e, head) and (content.packed or one.size <= self._size_of(e))
            ]
            if alike and not quiet:
                return
            twin = content.packed and any(e.mark and contents.bears(content, e.mark) for e in alike)
            entry = self._new(one, content, head, twin=twin)
            if entry.mark is None and not content.packed:
                return  # it has just been emptied
            self.entries.add(entry)
        if content.packed:
            entry.done, entry.ended = (one.size, one.changed), entry.ended and entry.offset == 0
        self._undecided.pop(key, None)
        if not (content.packed and entry.ended):
            self._follow(entry)

    def _size_of(self, entry: Entry) -> float:
        """How long a copy of it may be: it grows while we look, and may have been emptied since."""
        follower = self._followers.get((entry.device, entry.inode))
        before = follower.seen.size if follower and follower.seen else entry.offset
        try:
            after = Path(entry.path).stat().st_size
        except OSError:
            return math.inf  # the next look tells what became of it
        return after if after >= before else math.inf

    def _gone(self, key: tuple[int, int], content: contents.Content, head: bytes) -> Entry | None:
        for entry in reversed(self.entries.gone):
            if key == entry.emptied or entry.mark is None:
                continue
            if _same_head(entry, head) and contents.bears(content, entry.mark):
                return entry
            if entry.emptied and _older_copy(entry, content, head):
                return entry
        return None

    @staticmethod
    def _shorten(entry: Entry, content: contents.Content) -> None:
        """A copy has not what was written, and read, between the copying and the emptying."""
        size = content.size()
        if size is None or size >= entry.offset:
            return
        entry.offset, entry.beyond, entry.skipping = size, {}, False
        entry.mark, entry.earlier = contents.mark(content, size), []

    def _new(self, one: scan.Found, content: contents.Content, head: bytes, *, twin: bool) -> Entry:
        """A content that is seen first. A long one has the name that `ingest` gives it, if no other has it; a short
        one a name that it has given."""
        given, done = fingerprint_of(head), 0
        if len(self.ways.newline) == 1:  # `ingest` counts the places of wide text otherwise
            given, done = self._handed_over(head)
        name = bytes.fromhex(given)
        known = {e.key for e in [*self.entries.gone, *self.entries.here.values()]}
        if (len(head) < HEAD and not content.packed and not done) or name in known:
            name, done = secrets.token_bytes(16), 0
        entry = Entry(name, one.path, one.device, one.inode, ended=twin)
        if not content.packed:
            entry.mark = contents.mark(content, len(head))
        if not twin:
            entry.offset = done
        return entry

    def _follow(self, entry: Entry) -> Follower:
        follower = Follower(entry, self.ways, self._assembler())
        self._followers[entry.device, entry.inode] = follower
        return follower

    def _open(self, one: scan.Found, follower: Follower | None) -> contents.Content | None:
        if follower is not None and follower.content is not None:
            return follower.content
        try:
            return contents.open_found(one)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.troubles[one.path] = f"cannot be read: {error.strerror or error}"
            return None

    def _read(self, follower: Follower, now: float) -> bool:
        """Read on, if there is anything; whether there may be more."""
        seen = follower.seen
        if follower.ended or seen is None:
            return False
        idle = seen.size <= follower.place and not follower.waits and follower.missing is None
        if idle and not (follower.content is not None and follower.content.packed):
            return False
        if follower.content is None:
            follower.content = self._open(seen, None)
            if follower.content is None:
                return False
        place = follower.place
        try:
            pieces, more = follower.read(now)
        except (*DAMAGE, contents.TooMuchError, OSError) as error:
            self.troubles[seen.path] = f"cannot be read on: {error!r}"
            if not follower.content.packed:
                return False
            pieces, more = follower.finish(now), False  # what stands before the damage is kept
            follower.ended = True
        if pieces or follower.place != place or follower.ended:
            self._take(follower, pieces)
        if self._spared:
            self._reopened.append(follower)
            if len(self._reopened) >= _MOST_OPEN:
                self._let_go()
        return more

    def _spare(self, follower: Follower) -> None:
        """With many open already, it is opened again when it is its turn to be read."""
        if not self._spared:
            held = sum(1 for one in self._followers.values() if one.content is not None)
            self._spared = held > _MOST_OPEN
        if self._spared:
            follower.close()

    def _let_go(self) -> None:
        self._flush()
        for follower in self._reopened:
            follower.close()
        self._reopened = []

    def _take(self, follower: Follower, pieces: list[Piece]) -> None:
        self._touched[id(follower)] = follower
        self._batch += pieces
        self._size += sum(len(one.body) for one in pieces)
        if self._size >= BATCH:
            self._flush()

    def _flush(self) -> None:
        """Store what was read, then move the offsets."""
        batch, touched = self._batch, list(self._touched.values())
        self._batch, self._touched, self._size = [], {}, 0
        if batch:
            self.entries.sequence = max(self.entries.sequence, self._store(batch))
        of: dict[int, list[Piece]] = {}
        for one in batch:
            of.setdefault(id(one.follower), []).append(one)
        for follower in touched:
            before = (follower.entry.offset, len(follower.entry.beyond), follower.entry.ended)
            follower.commit(of.get(id(follower), []))
            after = (follower.entry.offset, len(follower.entry.beyond), follower.entry.ended)
            self.entries.dirty = self.entries.dirty or before != after

    def _close_some(self) -> None:
        held = [f for f in self._followers.values() if f.content is not None]
        for follower in held:
            if follower.ended and follower.content is not None:
                follower.close()
        held = sorted((f for f in held if f.content is not None), key=lambda f: f.grown)
        for follower in held[: max(0, len(held) - _MOST_OPEN)]:
            follower.close()


def _bears(content: contents.Content, entry: Entry, read: int) -> bool:
    """Whether a file holds what was read of it."""
    size = content.size()
    if size is None:
        return True
    return size >= read and (entry.mark is None or contents.bears(content, entry.mark))


def _begins_alike(entry: Entry, head: bytes) -> bool:
    return _same_head(entry, head) or any(_begins(head, one) for one in entry.earlier)


def _older_copy(entry: Entry, content: contents.Content, head: bytes) -> bool:
    """Whether it is a copy of what was emptied, made before the last of it was read (`Entry.earlier`)."""
    size = content.size()
    if size is None or size >= entry.offset or entry.mark is None:
        return False
    marks = [entry.mark] if entry.mark.size == HEAD else entry.earlier
    return any(_begins(head, one) for one in marks)


def _same_head(entry: Entry, head: bytes) -> bool:
    return entry.mark is not None and _begins(head, entry.mark)


def _begins(head: bytes, mark: Mark) -> bool:
    return len(head) >= mark.size and contents.digest(head[: mark.size]) == mark.head
