"""Globs to the regular files under them; what is refused, and why.

In: patterns such as ``/var/log/app/*.log`` or ``/srv/logs/**/*.log``. Out: `Found` values by path, and
`troubles`: path → reason. Invariants: a symbolic link may lead only to what lies under the pattern's root (its
folders before the first wildcard); devices, FIFOs and sockets are never opened; links to folders are not walked.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Final, NamedTuple

from pipeline.model.errors import UsageError

MOST_FILES: Final = 20_000
_DEEPEST: Final = 16
_WILD: Final = frozenset("*?[")


class Found(NamedTuple):
    """A regular file. `root` is where it must lie, all links followed."""

    path: str
    root: str
    device: int
    inode: int
    size: int
    changed: int


def check(pattern: str) -> str:
    """The root of a pattern. Raises UsageError where it has none."""
    path = PurePath(pattern)
    if not path.is_absolute() or len(path.parts) < 3 or ".." in path.parts:
        raise UsageError(
            "a pattern of files begins with a folder of its own",
            where="collect.files paths", got=pattern, expected="/var/log/app/*.log",
        )  # fmt: skip
    fixed = []
    for part in path.parts[:-1]:
        if _WILD & set(part):
            break
        fixed.append(part)
    if len(fixed) < 2:
        raise UsageError(
            "a pattern of files may not begin at the root of the disk",
            where="collect.files paths", got=pattern, expected="/var/log/app/*.log",
        )  # fmt: skip
    return str(PurePath(*fixed))


def find(patterns: Iterable[str], troubles: dict[str, str]) -> dict[str, Found]:
    """Every regular file of the patterns, in order of path, at most `MOST_FILES`."""
    found: dict[str, Found] = {}
    for pattern in patterns:
        root = check(pattern)
        real = os.path.realpath(root)
        parts = PurePath(pattern).parts[len(PurePath(root).parts) :]
        for path in _walk(root, parts, troubles):
            if path in found:
                continue
            if len(found) >= MOST_FILES:
                troubles[pattern] = f"more than {MOST_FILES} files"
                return found
            if (one := _look(path, real, troubles)) is not None:
                found[path] = one
    return dict(sorted(found.items()))


def under(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _look(path: str, root: str, troubles: dict[str, str]) -> Found | None:
    try:
        real = path
        about = os.lstat(path)
        if stat.S_ISLNK(about.st_mode):
            real = os.path.realpath(path)
            if not under(real, root):
                troubles[path] = "a link that leads outside"
                return None
            about = os.lstat(real)
    except FileNotFoundError:
        return None
    except OSError as error:
        troubles[path] = _words(error)
        return None
    if not stat.S_ISREG(about.st_mode):
        if not stat.S_ISDIR(about.st_mode):
            troubles[path] = "not a regular file"
        return None
    return Found(real, root, about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)


def _walk(
    folder: str, parts: tuple[str, ...], troubles: dict[str, str], depth: int = 0
) -> Iterator[str]:
    """Paths that fit the parts. ``**`` stands for any folders, down to a depth."""
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _walk(folder, rest, troubles, depth) if rest else ()
        for entry in _entries(folder, troubles) if depth < _DEEPEST else ():
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, parts, troubles, depth + 1)
        return
    if not _WILD & set(part):
        yield from _next(os.path.join(folder, part), rest, troubles, depth)  # noqa: PTH118 - many
        return
    for entry in _entries(folder, troubles):
        hidden = entry.name.startswith(".") and not part.startswith(".")
        if hidden or not fnmatch.fnmatchcase(entry.name, part):
            continue
        if not rest or entry.is_dir(follow_symlinks=False):
            yield from _next(entry.path, rest, troubles, depth)


def _next(path: str, rest: tuple[str, ...], troubles: dict[str, str], depth: int) -> Iterator[str]:
    if rest:
        yield from _walk(path, rest, troubles, depth)
    else:
        yield path


def _entries(folder: str, troubles: dict[str, str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        troubles[folder] = _words(error)
        return []


def _words(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"
