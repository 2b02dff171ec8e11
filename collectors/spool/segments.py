"""The folder of a node: which segments there are, how far they are durable, what may go.

In: a folder ``spool/<node>``. Out: `Segment` values in order of sequence. Nothing here writes to a
segment; `release` deletes sealed ones that are settled.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collectors.spool import layout
from pipeline.model.errors import UsageError

_NAME = re.compile(r"(\d{20})(?:\.open|-(\d{20})\.sealed)")
_NODE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MARK_TRIES: Final = 100

DURABLE_NAME: Final = "durable"
LOCK_NAME: Final = "lock"


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A segment's file. `last` is None while it is open."""

    first: int
    last: int | None
    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """Made when it is asked for: a folder may hold thousands, and is listed often."""
        return self.folder / self.name


def node_folder(root: Path, node: str) -> Path:
    """``<root>/<node>``; the name must fit in a file name, a path and a metric."""
    if not _NODE.fullmatch(node):
        raise UsageError(
            "the node's name cannot be used",
            where="collect.node",
            got=repr(node),
            expected="small letters, digits, '.', '_' and '-', at most 64",
        )
    return root / node


def nodes(root: Path) -> list[str]:
    """The nodes that have a folder, in order of name."""
    if not root.is_dir():
        return []
    return sorted(e.name for e in os.scandir(root) if e.is_dir() and _NODE.fullmatch(e.name))


def open_name(first: int) -> str:
    return f"{first:020d}.open"


def sealed_name(first: int, last: int) -> str:
    return f"{first:020d}-{last:020d}.sealed"


def segments(folder: Path) -> list[Segment]:
    """All segments in order of sequence; none of a folder that is gone."""
    found = []
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names only; three times as fast
    except FileNotFoundError:
        return []
    for name in names:
        match = _NAME.fullmatch(name)
        if match:
            last = int(match[2]) if match[2] else None
            found.append(Segment(int(match[1]), last, folder, name))
    return sorted(found, key=lambda segment: segment.first)


def used_bytes(folder: Path) -> int:
    """What the segments take on disk."""
    total = 0
    with contextlib.suppress(FileNotFoundError):  # the whole folder may go meanwhile
        for entry in os.scandir(folder):
            with contextlib.suppress(FileNotFoundError):  # released in this moment
                total += entry.stat().st_size
    return total


def read_durable(folder: Path) -> layout.Durable | None:
    """How far records are on disk; None before the first commit, or if the mark is damaged."""
    try:
        descriptor = os.open(folder / DURABLE_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        for _ in range(_MARK_TRIES):  # a read may meet a write half-way: its CRC is off, once
            mark = layout.unpack_durable(os.pread(descriptor, layout.DURABLE.size, 0))
            if mark is not None:
                return mark
            time.sleep(0.0001)
    finally:
        os.close(descriptor)
    return None


def read_footer(descriptor: int, salt: int) -> layout.Footer | None:
    """The footer of a segment; None if it is open or its footer is damaged."""
    size = os.fstat(descriptor).st_size
    if size < layout.HEAD.size + layout.TRAILER.size:
        return None
    footer_size = layout.trailer_size(
        os.pread(descriptor, layout.TRAILER.size, size - layout.TRAILER.size)
    )
    if footer_size is None or footer_size > size:
        return None
    whole = footer_size + layout.TRAILER.size
    return layout.unpack_footer(os.pread(descriptor, whole, size - whole), salt)


def release(folder: Path, upto: int, retain: float, now: float) -> list[Path]:
    """Delete sealed segments that end at `upto` or before and were sealed `retain` seconds before `now`, which
    is by the spool's own clock.

    The newest segment stays whatever it is: its name holds the place of the next sequence.
    """
    gone = []
    for segment in _settled(segments(folder)[:-1], upto):
        if (
            abs(now - _sealed(segment.path)) < retain
        ):  # a time to come is of a boot with a wrong clock
            break  # those that follow are younger
        segment.path.unlink()
        gone.append(segment.path)
    return gone


def _sealed(path: Path) -> float:
    """When, in seconds by the spool's own clock; by the machine's where the footer cannot be read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        head = layout.unpack_head(os.pread(descriptor, layout.HEAD.size, 0))
        footer = read_footer(descriptor, head.salt) if head else None
        return footer.sealed / 1e6 if footer else os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)


def _settled(candidates: Iterable[Segment], upto: int) -> Iterable[Segment]:
    return (s for s in candidates if s.last is not None and s.last <= upto)
