"""Folders of EVTX files, live or archived, and zip and tar archives of them. Delivery: acknowledged.

In: the files of an input's patterns. Out: each record as the ``evtx`` package's JSON, once: how far each chunk was
read is kept beside the spool, under the file's inode and under its first record, so that a file that was moved,
copied or packed is recognised; what a kill makes come twice is known by computer, channel and record number. A chunk
that cannot be read is passed over, counted and named, when the file has been quiet; it is tried again whenever
the file changes. Archives and packed files are looked at when they have been quiet; what unpacks to more than a log
would is a fault like that. A record beyond the limit is cut, and counted.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, TypeVar, cast

import msgspec

from collectors.receivers.directory import SourceIdentity
from collectors.receivers.file_worker import FileWorker
from collectors.receivers.intake import now as micros
from collectors.spool import Draft
from collectors.spool.segment_file import sync_folder
from collectors.tail import scan
from collectors.tail.chunks import MAGIC, Chunk, Evtx
from collectors.unpack import DAMAGE, most_unpacked, unpacked

T = TypeVar("T")
_BATCH: Final = 1_000
_MOST_MEMBERS: Final = 10_000
_MOST_KEPT: Final = 5_000
_FAULTS: Final = (*DAMAGE, ValueError, zipfile.BadZipFile, tarfile.TarError, NotImplementedError, RuntimeError)  # fmt: skip


class Known(msgspec.Struct):
    """How far a content was read: chunk → (first record, last record read)."""

    chunks: dict[int, tuple[int, int]] = {}


class _Kept(msgspec.Struct):
    by_print: dict[bytes, Known]
    done: dict[str, tuple[int, int, int, int]]


class EvtxFile(FileWorker):
    _kept: _Kept | None = None

    def check(self) -> None:
        for pattern in self.given.paths:
            scan.check(pattern)
        self._quiet: dict[str, tuple[tuple[int, int, int, int], float]] = {}
        self._counted: set[tuple[str, str]] = set()

    def work(self, identity: SourceIdentity, now: float) -> bool:
        if self._kept is None:
            self._kept = self._load(identity.source)
        troubles: dict[str, str] = {}
        found = scan.find(self.given.paths, troubles)
        self.files = len(found)
        for path, one in found.items():
            state = (one.device, one.inode, one.size, one.changed)
            if self._kept.done.get(path) == state:
                continue
            if self._quiet.get(path, (None, 0.0))[0] != state:
                self._quiet[path] = (state, now)
            quiet = now - self._quiet[path][1] >= self.settings.settle_seconds
            faults: list[str] = []
            try:
                self._file(identity, path, one, faults, quiet=quiet)
            except OSError as error:
                troubles[path] = f"cannot be read: {error.strerror or error}"
                continue
            except _FAULTS as error:
                faults.append(str(error)[:200] or repr(error))
            if quiet:
                self._kept.done[path] = state
                self._quiet.pop(path, None)
                self._name(identity.source, path, faults)
                self._save()
        gone = [path for path in self._kept.done if path not in found] if not troubles else []
        for path in gone:
            del self._kept.done[path]
        self.note_troubles(identity.source, troubles)
        return False

    def _file(
        self,
        identity: SourceIdentity,
        path: str,
        one: scan.Found,
        faults: list[str],
        *,
        quiet: bool,
    ) -> None:
        with contextlib.ExitStack() as held:
            raw = held.enter_context(_opened(one))
            head = raw.peek(8)[:8]  # type: ignore[attr-defined]
            if head.startswith(MAGIC):
                self._content(identity, path, raw, faults)
            elif quiet:
                for name, stream in _members(raw, path, faults):
                    try:
                        self._content(identity, name, stream, faults)
                    except _FAULTS as error:
                        faults.append(f"{name}: {error}"[:300])

    def _content(
        self, identity: SourceIdentity, name: str, stream: BinaryIO, faults: list[str]
    ) -> None:
        assert self._kept is not None
        evtx = Evtx(stream)
        known = self._kept.by_print.setdefault(evtx.fingerprint, Known())
        waiting: list[Chunk] = []
        count = 0
        for chunk in evtx.chunks(known.chunks):
            faults += [f"{name}: {fault}" for fault in chunk.faults]
            waiting.append(chunk)
            count += len(chunk.records)
            if count >= _BATCH:
                self._take(identity, name, evtx.fingerprint, known, waiting)
                waiting, count = [], 0
        self._take(identity, name, evtx.fingerprint, known, waiting)

    def _take(
        self, identity: SourceIdentity, name: str, print_: bytes, known: Known, chunks: list[Chunk]
    ) -> None:
        """Store, then remember."""
        moment, limit = micros(), self.intake.limits.record
        drafts = [
            Draft(
                identity.source,
                moment,
                body[:limit],
                b"f\0" + print_ + number.to_bytes(8, "big"),
                name,
            )
            for chunk in chunks
            for number, body in chunk.records
        ]
        if not drafts:
            return
        self.store(drafts, sum(len(body) > limit for one in chunks for _, body in one.records))
        for chunk in chunks:
            known.chunks[chunk.place] = (chunk.first, chunk.last)
        self._save()

    def _name(self, source: str, path: str, faults: list[str]) -> None:
        """Count and log each fault once."""
        fresh = [one for one in faults if (path, one) not in self._counted]
        if not fresh:
            return
        self._counted |= {(path, one) for one in fresh}
        self.intake.counters.of(self.name, source).note("damaged", len(fresh))
        self.say(path, f"{len(fresh)} places cannot be read, the first: {fresh[0]}")

    @property
    def _path(self) -> Path:
        return self.folder / f"evtx-{self.given.name}.checkpoint"

    def _load(self, source: str) -> _Kept:
        with contextlib.suppress(FileNotFoundError):
            try:
                return msgspec.msgpack.decode(self._path.read_bytes(), type=_Kept)
            except msgspec.MsgspecError:
                self.intake.counters.of(self.name, source).note("checkpoint_damaged")
        return _Kept({}, {})

    def _save(self) -> None:
        assert self._kept is not None
        prints = self._kept.by_print
        while len(prints) > _MOST_KEPT:
            del prints[next(iter(prints))]
        draft = self._path.with_suffix(".new")
        with draft.open("wb") as file:
            file.write(msgspec.msgpack.encode(self._kept))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        sync_folder(self.folder)


def _opened(one: scan.Found) -> BinaryIO:
    descriptor = os.open(one.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    about = os.fstat(descriptor)
    where = str(Path(f"/proc/self/fd/{descriptor}").readlink())
    if not stat.S_ISREG(about.st_mode) or not scan.under(where, one.root):
        os.close(descriptor)
        raise PermissionError("it lies outside of its pattern's folder")
    return os.fdopen(descriptor, "rb")


class _Measured(io.RawIOBase):
    """A stream that is damaged where it becomes longer than `most`."""

    def __init__(self, stream: BinaryIO, most: int) -> None:
        self._stream, self._left = stream, most

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        part = self._stream.read(size)
        self._left -= len(part)
        if self._left < 0:
            raise ValueError("it unpacks to more than a log would")
        return part


def _members(raw: BinaryIO, path: str, faults: list[str]) -> Iterator[tuple[str, BinaryIO]]:
    """The EVTX files of an archive, or the one that is packed. A member is read as a stream, never whole."""
    if zipfile.is_zipfile(raw):
        with zipfile.ZipFile(raw) as archive:
            logs = [one for one in archive.infolist() if _is_log(one.filename)]
            for one in _first(logs, path, faults):
                if one.file_size > most_unpacked(one.compress_size):
                    faults.append(f"{path}:{one.filename}: it unpacks to more than a log would")
                    continue
                with archive.open(one) as opened:
                    yield f"{path}:{one.filename}", cast("BinaryIO", opened)
        return
    raw.seek(0)
    plain = unpacked(cast("object", raw), path)  # type: ignore[arg-type]
    most = most_unpacked(os.fstat(raw.fileno()).st_size)
    stream = plain if plain is raw else cast("BinaryIO", _Measured(plain, most))
    if path.lower().endswith((".evtx.gz", ".evtx.xz", ".evtx.zst")):
        yield path, stream
        return
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in _first((m for m in archive if m.isfile() and _is_log(m.name)), path, faults):
            found = archive.extractfile(member)
            if found is not None:
                yield f"{path}:{member.name}", cast("BinaryIO", found)


def _is_log(name: str) -> bool:
    return name.lower().endswith(".evtx")


def _first(members: Iterable[T], path: str, faults: list[str]) -> Iterator[T]:
    for number, one in enumerate(members):
        if number >= _MOST_MEMBERS:
            faults.append(f"{path}: of more than {_MOST_MEMBERS} logs the rest is not read")
            return
        yield one
