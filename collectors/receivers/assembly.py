"""Lines to records: multi-line texts, and the audit lines of one kernel event.

In: lines in the order in which they came, each with a tag (its place in a file, a frame's number) and a time on
the monotonic clock. Out: `Whole` values: the record's bytes and the tags of all its lines. Every line is in exactly
one of them; its bytes are kept, joined by the line end that they came with. Pure: time is an argument.

`starts` (see `starts`): a line that begins a record closes the one before; other lines belong to the one before.
`audit`: lines with the same ``node`` and ``msg=audit(seconds:serial)`` are one record, also when others come between:

    type=SYSCALL msg=audit(1795485600.123:93777): arch=c000003e syscall=59 … exe="/usr/bin/id"
    type=USER_LOGIN msg=audit(1795485600.200:93778): pid=411 uid=0 …        one line, whole at once
    type=PROCTITLE msg=audit(1795485600.123:93777): proctitle=6964002D75
    type=EOE msg=audit(1795485600.123:93777):                               closes 93777

A record is closed by its end (EOE; after PROCTITLE any line of another event), by the time limit since its first
line, or by its size; with too many open, the oldest goes. A line of a record that was closed too early is a record.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

AUDIT: Final = "audit"
MOST_LINES: Final = 512
MOST_OPEN: Final = 256
MOST_HELD: Final = 1 << 20
_HEAD: Final = re.compile(
    rb"(?:node=(\S{1,255}) )?type=([A-Za-z0-9_\[\]]{1,64}) (?:msg=)?audit\((\d{1,12}\.\d{1,9}:\d{1,20})\)"
)
_HEAD_WITHIN: Final = 2_048
_ALONE: Final = (b"USER_", b"CRED_", b"SERVICE_", b"SYSTEM_", b"DAEMON_", b"CRYPTO_")
"""Types that user space writes: always one line."""
_LAST: Final = frozenset((b"EOE", b"1320", b"UNKNOWN[1320]"))
_NEARLY: Final = frozenset((b"PROCTITLE", b"1327", b"UNKNOWN[1327]"))
Starts = Callable[[bytes], bool]
Key = tuple[bytes | None, bytes]
T = TypeVar("T")


def audit_identity(body: bytes) -> bytes:
    """Of an audit record: its host (where the line says it) and its serial. Empty for other records."""
    found = audit_key(body)
    return b"a\0%s\0%s" % (found[0][0] or b"", found[0][1]) if found else b""


class Whole(NamedTuple, Generic[T]):
    """A record and the tags of its lines, in their order."""

    body: bytes
    tags: list[T]


@dataclass(slots=True)
class _Open(Generic[T]):
    since: float
    nearly: bool = False
    size: int = 0
    lines: list[bytes] = field(default_factory=list)
    tags: list[T] = field(default_factory=list)

    def add(self, line: bytes, tag: T) -> None:
        self.lines.append(line)
        self.tags.append(tag)
        self.size += len(line) + 1


def audit_key(line: bytes) -> tuple[Key, bytes] | None:
    """The event that an audit line is of, and its type; None for other lines."""
    head = _HEAD.search(line, 0, _HEAD_WITHIN)
    return ((head[1], head[3]), head[2]) if head else None


class Assembler(Generic[T]):
    """One sender's or one file's. `starts` of None means audit lines."""

    def __init__(
        self, starts: Starts | None, *, seconds: float, size: int, join: bytes = b"\n"
    ) -> None:
        self._starts, self._seconds, self._size, self._join = starts, seconds, size, join
        self._open: OrderedDict[Key, _Open[T]] = OrderedDict()
        self._nearly: Key | None = None
        self.held = 0

    def feed(self, line: bytes, tag: T, now: float) -> list[Whole[T]]:
        """The records that the line closes."""
        if self._starts is None:
            return self._audit(line, tag, now)
        done: list[Whole[T]] = []
        key = (None, b"")
        if key in self._open and (self._starts(line) or self._too_much(self._open[key], line)):
            done.append(self._close(key))
        self._add(key, line, tag, now)
        return done

    def due(self, now: float) -> list[Whole[T]]:
        """What has waited for its time."""
        late = [key for key, one in self._open.items() if now - one.since >= self._seconds]
        return [self._close(key) for key in late]

    def flush(self) -> list[Whole[T]]:
        """All that is open, the oldest first."""
        return [self._close(key) for key in list(self._open)]

    def tags(self) -> list[T]:
        """Of all lines that are held."""
        return [tag for one in self._open.values() for tag in one.tags]

    def __len__(self) -> int:
        return len(self._open)

    def _audit(self, line: bytes, tag: T, now: float) -> list[Whole[T]]:
        found = audit_key(line)
        done: list[Whole[T]] = []
        if self._nearly is not None and (found is None or found[0] != self._nearly):
            done.append(self._close(self._nearly))
        if found is None:
            return [*done, Whole(line, [tag])]
        key, kind = found
        one = self._open.get(key)
        if one is None and kind.startswith(_ALONE):
            return [*done, Whole(line, [tag])]
        if one is not None and self._too_much(one, line):
            done.append(self._close(key))
        self._add(key, line, tag, now)
        if kind in _LAST:
            done.append(self._close(key))
        elif kind in _NEARLY:
            self._nearly = key
        while len(self._open) > MOST_OPEN or (self.held > MOST_HELD and len(self._open) > 1):
            done.append(self._close(next(iter(self._open))))
        return done

    def _too_much(self, one: _Open[T], line: bytes) -> bool:
        return one.size + len(line) > self._size or len(one.lines) >= MOST_LINES

    def _add(self, key: Key, line: bytes, tag: T, now: float) -> None:
        one = self._open.get(key)
        if one is None:
            one = self._open[key] = _Open(now)
        one.add(line, tag)
        self.held += len(line) + 1

    def _close(self, key: Key) -> Whole[T]:
        one = self._open.pop(key)
        self.held -= one.size
        if self._nearly == key:
            self._nearly = None
        return Whole(self._join.join(one.lines), one.tags)
