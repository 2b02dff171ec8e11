"""Rule files of a folder, of single files or of an archive, under names that stay the same.

In: paths as a person gives them (`rules/`, `one.yml`, `sigma-rules.tar.xz`, `rules.zip`). Out: pairs of
name and text, the name relative to what was given, so that the same set unpacked elsewhere is the
same set. What cannot be read is a fault by name; the rest is read. Nothing is written anywhere
(archives: `rule_archives.py`), and a link out of the folder is not followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pipeline.detect.rulebook.rule_archives import ARCHIVE_ERRORS, archive_bodies
from pipeline.model.errors import ThapCanhError, UsageError

MAX_FILE_BYTES: Final = 1_048_576
MAX_FILES: Final = 50_000
SUFFIXES: Final = (".yml", ".yaml")
Read = tuple[str, bytes | ThapCanhError]


def read_rule_files(
    paths: Sequence[Path],
) -> tuple[list[tuple[str, str]], list[ThapCanhError]]:
    """`(name, text)` of every `*.yml` and `*.yaml`, in order of name, and the faults."""
    texts: dict[str, str] = {}
    faults: list[ThapCanhError] = []
    for path in paths:
        own: set[str] = set()
        try:
            for name, body in _bodies(path):
                if len(texts) >= MAX_FILES:
                    raise UsageError(f"more than {MAX_FILES:,} rule files", where=str(path))
                text = _text(name, body)
                if name in own:
                    text = UsageError("the file occurs twice in the archive", where=name)
                own.add(name)
                if isinstance(text, ThapCanhError):
                    faults.append(text)
                    continue
                texts[name if name not in texts else f"{path.name}/{name}"] = text
        except (OSError, *ARCHIVE_ERRORS) as error:
            reason = getattr(error, "strerror", None) or str(error)
            faults.append(UsageError(f"cannot be read: {reason}", where=str(path)))
        except ThapCanhError as error:
            faults.append(error)
    return sorted(texts.items()), faults


def _text(name: str, body: bytes | ThapCanhError) -> str | ThapCanhError:
    if isinstance(body, ThapCanhError):
        return body
    if len(body) > MAX_FILE_BYTES:
        return UsageError(
            "the rule file is too large", where=name, got=f"{len(body):,} bytes or more",
            expected=f"at most {MAX_FILE_BYTES:,}",
        )  # fmt: skip
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return UsageError("the file is not UTF-8 text", where=name)


def _bodies(path: Path) -> Iterator[Read]:
    if path.is_dir():
        yield from _folder(path)
    elif not path.exists():
        raise UsageError("no such rule file, folder or archive", where=str(path))
    elif path.suffix in SUFFIXES:
        yield path.name, _head(path)
    else:
        yield from archive_bodies(path, suffixes=SUFFIXES, each=MAX_FILE_BYTES)


def _folder(path: Path) -> Iterator[Read]:
    root = path.resolve()
    for file in sorted(path.rglob("*")):
        if file.suffix not in SUFFIXES:
            continue
        name = file.relative_to(path).as_posix()
        if file.is_symlink() and not file.resolve().is_relative_to(root):
            yield name, UsageError("a link out of the folder", where=name, remedy="copy the file")
        elif file.is_file():
            try:
                yield name, _head(file)
            except OSError as error:
                yield name, UsageError(f"cannot be read: {error.strerror}", where=name)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)
