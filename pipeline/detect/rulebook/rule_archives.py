"""The files of an archive, read in memory one at a time, whatever its maker intended.

In: a zip, or a tar that is plain or packed by gzip, bzip2, xz or zstd. Out: name and bytes of each file
with a wanted ending. Nothing is unpacked: a name is a label, never a path to write to. Bounds: what
comes out of the packer in all (a bomb is given up on, not unpacked), the number of entries, the bytes
of each file. A name that climbs (`../`, `/etc/…`), a link or a device with a wanted ending, an entry
that is locked by a password: a fault by its name, the rest is read.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import zstandard

from pipeline.model.errors import ThapCanhError, UsageError

MAX_UNPACKED: Final = 256 << 20
MAX_ENTRIES: Final = 200_000
MAX_WINDOW: Final = 128 << 20  # bytes that a packer may ask for: xz's own presets need 65 MB
ARCHIVE_ERRORS: Final = (
    tarfile.TarError, zipfile.BadZipFile, EOFError, lzma.LZMAError, zlib.error,
    zstandard.ZstdError,
    NotImplementedError, RuntimeError, UnicodeError, ValueError,
)  # fmt: skip
"""What the standard library raises over archives that are broken or made to harm."""

Read = tuple[str, bytes | ThapCanhError]


def archive_bodies(path: Path, *, suffixes: Sequence[str], each: int) -> Iterator[Read]:
    """`(name, bytes)` of each file; at most `each + 1` bytes of one, so that a longer one is seen."""
    entries = _zip(path, each) if zipfile.is_zipfile(path) else _tar(path, each)
    for count, (name, is_file, read) in enumerate(entries, 1):
        if count > MAX_ENTRIES:
            raise UsageError(f"more than {MAX_ENTRIES:,} entries", where=str(path))
        if not name.endswith(tuple(suffixes)):
            continue
        label = _label(name)
        if label is None:
            yield name, UsageError("a name that climbs out of the archive", where=name)
        elif not is_file:
            yield label, UsageError("a link or device, no file", where=label)
        else:
            yield label, read()


def _label(name: str) -> str | None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name or ":" in path.parts[0]:
        return None
    return str(path)


def _zip(path: Path, each: int) -> Iterator[tuple[str, bool, Any]]:
    left = MAX_UNPACKED
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            kind = stat.S_IFMT(entry.external_attr >> 16)

            def read(entry: zipfile.ZipInfo = entry) -> bytes | ThapCanhError:
                nonlocal left
                try:
                    with archive.open(entry) as file:
                        body = file.read(each + 1)
                except (RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
                    return UsageError(f"cannot be read: {error}", where=entry.filename)
                left -= len(body)
                if left < 0:
                    raise _bomb(path)
                return body

            yield entry.filename, kind in {0, stat.S_IFREG}, read


def _tar(path: Path, each: int) -> Iterator[tuple[str, bool, Any]]:
    with path.open("rb") as file, _unpacked(file) as stream:
        bounded: Any = _Bounded(stream, path)
        with tarfile.open(fileobj=bounded, mode="r|") as archive:
            for entry in archive:
                if entry.isdir():
                    continue
                if entry.size > MAX_UNPACKED:
                    raise _bomb(path)

                def read(entry: tarfile.TarInfo = entry) -> bytes:
                    body = archive.extractfile(entry)
                    return body.read(each + 1) if body else b""

                yield entry.name, entry.isfile(), read


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    """The stream within, by the first bytes of the file."""
    head = file.read(6)
    file.seek(0)
    opened: Any = file
    if head.startswith(b"\x1f\x8b"):
        opened = gzip.GzipFile(fileobj=file)
    elif head.startswith(b"BZh"):
        opened = bz2.BZ2File(file)
    elif head.startswith(b"\xfd7zXZ\0"):
        opened = _Xz(file)
    elif head.startswith(b"\x28\xb5\x2f\xfd"):
        opened = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(file)
    found: IO[bytes] = opened
    return found


class _Xz(io.RawIOBase):
    """As `lzma.LZMAFile`, which would give a hostile file the gigabytes that its header asks for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._packer = lzma.LZMADecompressor(memlimit=MAX_WINDOW)

    def read(self, size: int = -1) -> bytes:
        while not self._packer.eof:
            more = self._file.read(65_536) if self._packer.needs_input else b""
            if not more and self._packer.needs_input:
                raise EOFError("the archive ends in the middle")
            if body := self._packer.decompress(more, size):
                return body
        return b""


class _Bounded:
    """Gives up once more has come out than any honest set of rules holds."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream, self._path, self._left = stream, path, MAX_UNPACKED

    def read(self, size: int) -> bytes:
        body = self._stream.read(size)  # tarfile asks again where it got less
        self._left -= len(body)
        if self._left < 0:
            raise _bomb(self._path)
        return body


def _bomb(path: Path) -> UsageError:
    return UsageError(
        "the archive unpacks to more than it may", where=str(path),
        expected=f"at most {MAX_UNPACKED >> 20} MB", remedy="give the folder of the rules alone",
    )  # fmt: skip
