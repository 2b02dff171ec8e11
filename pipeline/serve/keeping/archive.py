"""The file of a backup: what it holds, and how it shows that it is whole.

A plain tar (the lake's files are compressed already), written from front to back::

    BACKUP.json      {"format": 1, "state": "0001", "database": "sqlite", "taken": "2026-11-24T…Z", …}
    state.sqlite  keys/…  spool/collect-1/…  lake/…  thapcanh.yml        in any order
    CHECKSUMS.json   {"lake/2026-11-24/….parquet": [size, BLAKE2b-256], …}: every member before it
    END              BLAKE2b-256 of CHECKSUMS.json

Invariants: a file without its END is no backup; what a reader has taken out counts only when `verify` has
compared all of it. A member's name is a relative path without `..`; nothing but plain files is in it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from pipeline.model.errors import DamagedError, ServiceAwayError, UsageError

FORMAT: Final = 1
HEAD: Final = "BACKUP.json"
CHECKSUMS: Final = "CHECKSUMS.json"
LAKE: Final = "lake"
"""The folder of a backup that holds the lake's files."""
END: Final = "END"
_LARGEST_NOTE: Final = 256 << 20
_PIECE: Final = 1 << 20
_REMEDY: Final = "use another backup; nothing was restored"

Passed = Callable[[int], None]
"""Told the number of bytes that have just passed."""


class Writer:
    """Adds members; `finish` makes the whole a backup."""

    def __init__(self, raw: IO[bytes], head: dict[str, Any], passed: Passed) -> None:
        self._tar = tarfile.open(fileobj=raw, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self._sums: dict[str, tuple[int, str]] = {}
        self._passed = passed
        self.note(HEAD, _json({"format": FORMAT} | head))

    def note(self, name: str, data: bytes) -> None:
        """A small member from memory."""
        self._add(name, io.BytesIO(data), len(data))

    def file(self, name: str, path: Path) -> str:
        """A member from a file that does not change meanwhile; its BLAKE2b-256."""
        with path.open("rb") as source:
            return self._add(name, source, os.fstat(source.fileno()).st_size)

    def finish(self) -> None:
        sums = _json(self._sums)
        self._add(CHECKSUMS, io.BytesIO(sums), len(sums))
        digest = self._sums[CHECKSUMS][1].encode()
        self._add(END, io.BytesIO(digest), len(digest))
        self._tar.close()

    @property
    def members(self) -> int:
        return len(self._sums)

    def _add(self, name: str, source: IO[bytes], size: int) -> str:
        member = tarfile.TarInfo(name)
        member.size, member.mode = size, 0o600
        hashing = _Hashing(source, self._passed)
        self._tar.addfile(member, hashing)
        self._sums[name] = (size, hashing.digest.hexdigest())
        return self._sums[name][1]


@contextmanager
def new_backup(target: Path, head: dict[str, Any], passed: Passed) -> Iterator[Writer]:
    """A `Writer` of `target`, which is there, whole and durable, when the block ends well, else not."""
    part = target.with_name(f".{target.name}.part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as raw:
            writer = Writer(raw, head, passed)
            yield writer
            writer.finish()
            raw.flush()
            os.fsync(raw.fileno())
        os.link(part, target)  # unlike a rename, never over somebody else's backup
    except FileExistsError as error:
        raise UsageError(
            "there is such a file already", where=str(target), remedy="name another"
        ) from error
    except OSError as error:
        raise ServiceAwayError(
            "the backup cannot be written", where=str(target), got=str(error),
            remedy="free space there, or name another place; what was begun is removed",
        ) from error  # fmt: skip
    finally:
        part.unlink(missing_ok=True)


class Reader:
    """Reads a backup from front to back. `head` is known at once; `extract` takes the rest out."""

    def __init__(self, path: Path, raw: IO[bytes]) -> None:
        self._path, self._last = path, "its beginning"
        with self._damage():
            self._tar = tarfile.open(fileobj=raw, mode="r|")  # noqa: SIM115
        self._sums: dict[str, tuple[int, str]] = {}
        first = self._next()
        if first is None or first.name != HEAD:
            raise self._damaged("it does not begin as a backup does")
        self.head: dict[str, Any] = self._read_json(first)
        if self.head.get("format") != FORMAT:
            raise UsageError(
                "this backup is of a newer version of the program", where=str(path),
                got=f"format {self.head.get('format')}", expected=f"format {FORMAT}",
                remedy="restore it with the version that made it, or a newer one",
            )  # fmt: skip

    def extract(self, folder: Path, passed: Passed) -> dict[str, int]:
        """Write every member under `folder` and verify all; each one's size. DamagedError names the first
        that is not what was written; what was written to the folder is then worth nothing."""
        while (member := self._next()) is not None:
            if member.name == CHECKSUMS:
                told = self._read_json(member)
                own = self._sums[CHECKSUMS][1]
                end = self._next()
                if end is None or end.name != END or self._read(end) != own.encode():
                    raise self._damaged("its end is missing or does not fit")
                return self._verify(told)
            self._write(member, folder, passed)
        raise self._damaged("it is cut short: the checksums are missing")

    def _write(self, member: tarfile.TarInfo, folder: Path, passed: Passed) -> None:
        target = folder / member.name
        with self._damage():
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as sink:
            hashing = self._open(member, passed)
            with self._damage():
                shutil.copyfileobj(hashing, sink, _PIECE)
            sink.flush()
            os.fsync(sink.fileno())
        self._sums[member.name] = (target.stat().st_size, hashing.digest.hexdigest())

    def _verify(self, told: dict[str, Any]) -> dict[str, int]:
        have = {
            name: list(sums) for name, sums in self._sums.items() if name not in (CHECKSUMS, END)
        }
        for name in sorted({*told, *have}):
            if told.get(name) != have.get(name):
                raise self._damaged(f"{name} is not what was written")
        return {name: size for name, (size, _) in self._sums.items()}

    def _next(self) -> tarfile.TarInfo | None:
        with self._damage():
            member = self._tar.next()
        if member is None:
            return None
        parts = PurePosixPath(member.name).parts
        if not member.isreg() or not parts or ".." in parts or parts[0] == "/":
            raise self._damaged(f"{member.name!r} has no place in a backup")
        self._last = member.name
        return member

    def _open(self, member: tarfile.TarInfo, passed: Passed) -> _Hashing:
        source = self._tar.extractfile(member)
        assert source is not None  # it is a plain file
        return _Hashing(source, passed)

    def _read(self, member: tarfile.TarInfo) -> bytes:
        if member.size > _LARGEST_NOTE:
            raise self._damaged(f"{member.name} is too large")
        hashing = self._open(member, lambda _: None)
        with self._damage():
            data = hashing.read()
        self._sums[member.name] = (len(data), hashing.digest.hexdigest())
        return data

    def _read_json(self, member: tarfile.TarInfo) -> dict[str, Any]:
        data = self._read(member)
        try:
            return dict(json.loads(data))
        except ValueError as error:
            raise self._damaged(f"{member.name} cannot be read") from error

    @contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except (tarfile.TarError, EOFError, UnicodeError) as error:
            raise self._damaged(str(error)) from error
        except OSError as error:
            if error.errno is None:  # tarfile's own, of a stream that ends too soon
                raise self._damaged(str(error)) from error
            raise ServiceAwayError(
                "the backup cannot be read, or its files not written", where=str(self._path),
                got=str(error), remedy="free space, or name another home; nothing was restored",
            ) from error  # fmt: skip

    def _damaged(self, what: str) -> DamagedError:
        return DamagedError(
            "this is no whole backup", where=f"{self._path}, at {self._last}", got=what,
            remedy=_REMEDY,
        )  # fmt: skip


class _Hashing(io.RawIOBase):
    """Reads another file, hashes what passes and tells how much."""

    def __init__(self, source: IO[bytes], passed: Passed) -> None:
        self._source, self._passed = source, passed
        self.digest = hashlib.blake2b(digest_size=32)

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.digest.update(data)
        self._passed(len(data))
        return data


def _json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True).encode()
