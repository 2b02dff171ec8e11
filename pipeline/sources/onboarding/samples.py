"""What an officer pastes or uploads, as records: within limits, whatever it holds.

In: a pasted text, or an uploaded file's name and bytes (lines, packed lines, EVTX). Out: `Samples`: at most
`MOST` records of at most `LONGEST` bytes each, and what was left out. Blank lines are no samples. A pasted text is
Unicode already; an uploaded file keeps its bytes, which are read in the encoding that the officer names.
"""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from collectors.files import InputFile, open_input
from collectors.formats.text import clean, decode
from collectors.unpack import DAMAGE, unpacked
from pipeline.model.errors import DamagedError, LargeError, UsageError

MOST: Final = 200  # records
LONGEST: Final = 65_536  # bytes of one record
WHOLE: Final = 1_000_000  # bytes of all records together
UPLOAD: Final = 8_000_000  # bytes of a file that is looked into
UNPACKED: Final = 32_000_000  # and of what a packed one becomes
_UTF8: Final = "utf-8"


class Samples(msgspec.Struct, frozen=True):
    """`bodies` as they will come from the sender. `skipped` further records were not taken, `cut` were too long."""

    bodies: tuple[bytes, ...] = ()
    skipped: int = 0
    cut: int = 0

    def lines(self, encoding: str = "") -> list[str]:
        return [clean(decode(body, encoding or _UTF8)[0]) for body in self.bodies]

    def packed(self) -> bytes:
        """For keeping: JSON, the bodies in base 64."""
        bodies = [base64.b64encode(body).decode() for body in self.bodies]
        return msgspec.json.encode({"bodies": bodies, "skipped": self.skipped, "cut": self.cut})

    @classmethod
    def unpacked(cls, packed: bytes) -> Samples:
        kept = msgspec.json.decode(packed)
        bodies = tuple(base64.b64decode(one) for one in kept["bodies"])
        return cls(bodies, kept["skipped"], kept["cut"])


def from_text(text: str) -> Samples:
    """Pasted lines. A JSON document or an XML event that was pasted over several lines is one record."""
    whole = text.replace("\r\n", "\n").strip("\n\ufeff ")
    bodies = [whole.encode("utf-8", "replace")] if _one_document(whole) else None
    return _taken(bodies or (line.encode("utf-8", "replace") for line in whole.split("\n")))


def from_file(name: str, content: bytes) -> Samples:
    """The first records of an uploaded file: text, gzip, xz, zstd or EVTX. Raises UsageError for what is none. What is
    packed is unpacked up to a limit, whatever it would become."""
    if len(content) > UPLOAD:
        raise LargeError(
            "the sample file is too large", got=f"{len(content):,} B", expected=f"≤ {UPLOAD:,} B"
        )
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "packed"
        packed.write_bytes(content)
        evtx = re.search(r"\.evtx(\.(gz|xz|zst|zstd))?$", name, re.IGNORECASE)
        path = Path(folder) / ("sample.evtx" if evtx else "sample")
        with packed.open("rb") as raw:
            try:
                path.write_bytes(_unpacked(unpacked(raw, name[:200])))
            except (*DAMAGE, OSError) as error:
                raise UsageError("the sample file is damaged", got=str(error)[:200]) from None
        return from_path(path)


def _unpacked(stream: BinaryIO) -> bytes:
    """As much as there is before the limit, or before the damage."""
    parts: list[bytes] = []
    left = UNPACKED
    while left > 0:
        try:
            block = stream.read(min(left, 1 << 20))
        except (*DAMAGE, OSError):
            if not parts:
                raise
            break
        if not block:
            break
        parts.append(block)
        left -= len(block)
    return b"".join(parts)


def from_path(path: Path) -> Samples:
    """The first records of a file on disk; of a damaged one those before the damage."""
    with open_input(path) as file:
        return _taken(_until_damage(file))


def _until_damage(file: InputFile) -> Iterator[bytes]:
    found = False
    try:
        for record in file:
            found = True
            yield record.body
    except DamagedError as error:
        if not found:
            raise UsageError(
                "the sample file is damaged", got=error.got, remedy=error.remedy
            ) from None


def _one_document(text: str) -> bool:
    """Whether the lines are one object spread over several: no line of them is a document of its own."""
    if "\n" not in text:
        return False
    if text[:1] == "{" and text[-1:] == "}":
        first = text.split("\n", 1)[0].rstrip()
        return not first.endswith("}")
    return text.startswith("<Event") and text.count("<Event ") + text.count("<Event>") == 1


def _taken(bodies: Iterable[bytes]) -> Samples:
    """As much as is looked at; what comes beyond a few thousand lines is not even counted."""
    kept: list[bytes] = []
    size = skipped = cut = 0
    for body in bodies:
        if not body.strip(b" \t\r\n\0"):
            continue
        if len(kept) >= MOST or size >= WHOLE:
            skipped += 1
            if skipped >= 10_000:
                break
            continue
        cut += len(body) > LONGEST
        kept.append(body[:LONGEST])
        size += len(kept[-1])
    if not kept:
        raise UsageError(
            "there is no line in the sample", remedy="paste some lines as the device writes them"
        )
    return Samples(tuple(kept), skipped, cut)
