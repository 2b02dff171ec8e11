"""An input file as records: lines of text or JSON, or the records of an EVTX file, packed or plain.

In: a path, or ``-`` for standard input. Plain, gzip, xz or zstd (told by the first bytes, not by the
name); eight-bit text as it is, UTF-16 with its mark as UTF-8.
Out: `FileRecord`: its place (1-based physical line; EVTX: record number), the offset in the unpacked
bytes where it begins, the bytes without the line's end. Blank lines are records too: places stay true.

`fingerprint` names the content, packed or not: a hash of its first 4,096 bytes, or, if it is shorter,
of all of it and its length (a short file that grows has another, and is known by `handed_over`; a long one keeps
it); for EVTX of its first record, since the head of such a file changes with every write.
With the offset it is the identity of a record, so that a second ingest of a file is recognised.

A damaged file gives every record before the damage, then raises `DamagedError`. A line longer than
`MAX_LINE` is cut into several records, so that no file can fill the memory.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, NamedTuple, Self, cast

from collectors.unpack import DAMAGE, unpacked
from pipeline.model.errors import DamagedError, NotFoundError, UsageError

HEAD: Final = 4_096
MAX_LINE: Final = 16 * 1024 * 1024
BLOCK: Final = 1024 * 1024
MAX_EVTX: Final = 2 * 1024**3
MAX_BROKEN: Final = 1_000
_EVTX: Final = b"ElfFile\x00"
_EVTX_NAME: Final = re.compile(r"\.evtx(\.(gz|xz|zst|zstd))?$", re.IGNORECASE)
_EVTX_FIRST: Final = 4_096 + 512
_UTF16: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class FileRecord(NamedTuple):
    """`place` is the line or record number; `offset` the first byte of it in the unpacked bytes."""

    place: int
    offset: int
    body: bytes


def _open(path: str | Path) -> BinaryIO:
    if str(path) == "-":
        return sys.stdin.buffer
    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        raise NotFoundError(
            "there is no such file", where=str(path), remedy="check the path"
        ) from None
    except IsADirectoryError:
        raise UsageError(
            "a folder cannot be read as a file", where=str(path), remedy="name a file in it"
        ) from None
    except OSError as error:
        raise UsageError(
            "the file cannot be opened",
            where=str(path),
            got=error.strerror or str(error),
            remedy="check its permissions",
        ) from None


def _hash(kind: bytes, body: bytes) -> str:
    return hashlib.blake2b(kind + b"\0" + body, digest_size=16).hexdigest()


def fingerprint_of(head: bytes) -> str:
    """Of a file of lines, from its first bytes (all of them, if it is shorter than `HEAD`)."""
    if len(head) >= HEAD:
        return _hash(b"head", head[:HEAD])
    return _hash(b"whole", len(head).to_bytes(8, "big") + head)


def evtx_fingerprint(content: bytes) -> str:
    """Of an EVTX file: its first record."""
    size = int.from_bytes(content[_EVTX_FIRST + 4 : _EVTX_FIRST + 8], "little")
    if content[_EVTX_FIRST : _EVTX_FIRST + 4] != b"**\0\0" or not 24 <= size <= 65_536:
        return _hash(b"evtx-empty", content[:HEAD])
    return _hash(b"evtx", content[_EVTX_FIRST : _EVTX_FIRST + size])


class InputFile:
    """An open input. Use as a context manager, iterate once."""

    def __init__(self, path: str | Path) -> None:
        self.name = "standard input" if str(path) == "-" else str(path)
        self._raw = _open(path)
        try:
            self._stream = unpacked(cast("io.BufferedReader", self._raw), self.name)
            self._start = self._take(HEAD)
            self.kind = "evtx" if self._start.startswith(_EVTX) else "lines"
            if self.kind == "lines" and self._damage is None:
                self._refuse_false_evtx()
            self._content = self._start + self._rest() if self.kind == "evtx" else b""
        except BaseException:
            self.close()
            raise
        lines = self.kind == "lines"
        self.head = self._start if lines else b""
        self.recoded = self._start[:2] in _UTF16  # then offsets are not the file's own
        self.unended = False  # whether the last line read had no end, and may grow
        self.fingerprint = fingerprint_of(self._start) if lines else evtx_fingerprint(self._content)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._raw is not sys.stdin.buffer:
            self._raw.close()

    def __iter__(self) -> Iterator[FileRecord]:
        return self._evtx() if self.kind == "evtx" else self._lines()

    def _refuse_false_evtx(self) -> None:
        """A file that says it is one would else become as many failures as it has lines."""
        if _EVTX_NAME.search(self.name):
            raise UsageError(
                "the file is named .evtx but is none",
                where=self.name,
                got=f"it begins with {self._start[:8]!r}",
                expected=f"it begins with {_EVTX!r}",
                remedy="copy it again with wevtutil epl; if it holds lines, give it another name",
            )

    def identity(self, offset: int) -> bytes:
        """The identity of the record at an offset of this file."""
        return b"f\0" + bytes.fromhex(self.fingerprint) + offset.to_bytes(8, "big")

    def _take(self, size: int) -> bytes:
        """So many bytes, or all there are. Damage is told later, where the lines before it are read."""
        parts: list[bytes] = []
        left = size
        while left > 0:
            try:
                block = self._stream.read(min(left, BLOCK))
            except (*DAMAGE, OSError) as error:
                self._damage = self._damaged(error)
                break
            if not block:
                break
            parts.append(block)
            left -= len(block)
        return b"".join(parts)

    _damage: DamagedError | None = None

    def _damaged(self, error: BaseException) -> DamagedError:
        if isinstance(error, DAMAGE):
            return DamagedError(
                "the packed file is damaged or cut short",
                where=self.name,
                got=str(error)[:200],
                remedy="copy it again; what stands before the damage has been read",
            )
        return DamagedError(
            "the file cannot be read",
            where=self.name,
            got=str(error),
            remedy="check the disk or the pipe",
        )

    def _rest(self) -> bytes:
        content = self._take(MAX_EVTX)
        if self._damage is None and len(content) == MAX_EVTX:
            raise UsageError(
                "the EVTX file is too large",
                where=self.name,
                expected="less than 2 GiB",
                remedy="split it with wevtutil",
            )
        return content

    def _blocks(self) -> Iterator[bytes]:
        """The unpacked bytes from the beginning, a UTF-16 text as UTF-8; damage ends them."""
        encoding = _UTF16.get(self._start[:2])
        decoder = codecs.getincrementaldecoder(encoding or "utf-8")("replace")
        block = self._start[2:] if encoding else self._start
        while block:
            yield decoder.decode(block).encode("utf-8", "replace") if encoding else block
            if self._damage is not None:
                break
            try:
                block = self._stream.read(BLOCK)
            except (*DAMAGE, OSError) as error:
                self._damage = self._damaged(error)
                break
        if encoding:
            yield decoder.decode(b"", final=True).encode("utf-8", "replace")

    def _lines(self) -> Iterator[FileRecord]:
        place, offset, rest = 1, 0, b""
        for block in self._blocks():
            lines = (rest + block if rest else block).split(b"\n")
            rest = lines.pop()
            for line in lines:
                yield FileRecord(place, offset, line[:-1] if line[-1:] == b"\r" else line)
                place += 1
                offset += len(line) + 1
            while len(rest) > MAX_LINE:
                yield FileRecord(place, offset, rest[:MAX_LINE])
                rest, offset = rest[MAX_LINE:], offset + MAX_LINE
        if rest:
            self.unended = True
            yield FileRecord(place, offset, rest.removesuffix(b"\r"))
        if self._damage is not None:
            raise self._damage

    def _evtx(self) -> Iterator[FileRecord]:
        """Records as the ``evtx`` package's JSON. A broken record is left out, and said at the end."""
        import evtx

        broken: list[str] = []
        records: Iterator[Any]
        try:
            parser = evtx.PyEvtxParser(io.BytesIO(self._content))
            records = cast("Iterator[Any]", parser.records_json())
        except (RuntimeError, OSError, ValueError) as error:
            records, broken = iter(()), [str(error)[:200]]
        while len(broken) < MAX_BROKEN:
            try:
                record = next(records)
            except StopIteration:
                break
            except (RuntimeError, OSError, ValueError) as error:
                broken.append(str(error)[:200])
                continue
            place = int(record["event_record_id"])
            yield FileRecord(place, place, record["data"].encode("utf-8", "replace"))
        if self._damage is not None:
            raise self._damage
        if broken:
            raise DamagedError(
                "the EVTX file is damaged; the records that could be read have been",
                where=self.name,
                got=f"{len(broken)} faults, the first: {broken[0]}",
                remedy="export it again with wevtutil epl",
            )


def open_input(path: str | Path) -> InputFile:
    """Open a path, or ``-`` for standard input. Raises if there is no such file or it cannot be read."""
    return InputFile(path)


def read_records(path: str | Path) -> Iterator[FileRecord]:
    """Every record of a file, for who needs no fingerprint."""
    with open_input(path) as file:
        yield from file
