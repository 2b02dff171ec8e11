"""Rule files of a folder, of single files or of an archive, under names that stay the same.

In: paths as a person gives them (`rules/`, `one.yml`, `sigma-rules.tar.xz`, `rules.zip`). Out: pairs of
name and text, the name relative to what was given, so that the same set unpacked elsewhere is the
same set. What cannot be read is a fault by name; the rest is read. An archive is read in memory, one
file at a time, within bounds; nothing of it is written anywhere.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Final

from pipeline.model.errors import ThapCanhError, UsageError

MAX_FILE_BYTES: Final = 1_048_576
MAX_FILES: Final = 50_000
_SUFFIXES: Final = (".yml", ".yaml")
Read = tuple[str, bytes]


def read_rule_files(
    paths: Sequence[Path],
) -> tuple[list[tuple[str, str]], list[ThapCanhError]]:
    """`(name, text)` of every `*.yml` and `*.yaml`, in order of name, and the faults."""
    texts: dict[str, str] = {}
    faults: list[ThapCanhError] = []
    for path in paths:
        try:
            for name, body in _bodies(path):
                if len(texts) >= MAX_FILES:
                    raise UsageError(f"more than {MAX_FILES:,} rule files", where=str(path))
                if len(body) > MAX_FILE_BYTES:
                    faults.append(
                        UsageError(
                            "the rule file is too large",
                            where=name,
                            got=f"{len(body)} bytes or more",
                            expected=f"at most {MAX_FILE_BYTES}",
                        )
                    )
                    continue
                try:
                    texts[name] = body.decode("utf-8-sig")
                except UnicodeDecodeError:
                    faults.append(UsageError("the file is not UTF-8 text", where=name))
        except (OSError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            faults.append(UsageError(f"cannot be read: {reason}", where=str(path)))
        except ThapCanhError as error:
            faults.append(error)
    return sorted(texts.items()), faults


def _bodies(path: Path) -> Iterator[Read]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix in _SUFFIXES and file.is_file():
                yield file.relative_to(path).as_posix(), _head(file.open("rb"))
    elif not path.exists():
        raise UsageError("no such rule file, folder or archive", where=str(path))
    elif zipfile.is_zipfile(path):
        yield from _zip(path)
    elif path.suffix in _SUFFIXES:
        yield path.name, _head(path.open("rb"))
    else:
        yield from _tar(path)


def _zip(path: Path) -> Iterator[Read]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if not entry.is_dir() and entry.filename.endswith(_SUFFIXES):
                yield _inner(entry.filename), _head(archive.open(entry))


def _tar(path: Path) -> Iterator[Read]:
    with tarfile.open(path) as archive:
        for entry in archive:
            if entry.isfile() and entry.name.endswith(_SUFFIXES):
                body = archive.extractfile(entry)
                assert body is not None
                yield _inner(entry.name), _head(body)


def _inner(name: str) -> str:
    """The name within an archive without a leading `./`; it is a label, never a path to write to."""
    return str(PurePosixPath(name)).lstrip("/")


def _head(file: IO[bytes]) -> bytes:
    with file:
        return file.read(MAX_FILE_BYTES + 1)
