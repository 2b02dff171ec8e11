"""Whether a file is one that a collector of this machine follows, for who has only its path.

In: checkpoints (`known`), a path. Out: the entry of that content. A short head proves it only for the very same file:
many logs begin alike, and a line that is taken for another is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from collectors.files import HEAD
from collectors.tail import content as contents
from collectors.tail.known import Entries, Entry
from collectors.tail.scan import Found
from collectors.unpack import DAMAGE


def followed(checkpoints: Iterable[Path], file: Path) -> Entry | None:
    """The one of which most is read. None where there is none, or that cannot be told."""
    try:
        path = file.resolve(strict=True)
        about = path.stat()
        one = Found(str(path), "/", about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
        content = contents.open_found(one)
    except (*DAMAGE, OSError):
        return None
    try:
        found = [
            entry
            for kept in map(Entries, checkpoints)
            for entry in [*kept.here.values(), *kept.gone]
            if entry.mark is not None
            and entry.offset
            and (entry.mark.size == HEAD or (entry.device, entry.inode) == one[2:4])
            and contents.bears(content, entry.mark)
        ]
    except (*DAMAGE, contents.TooMuchError, OSError):
        return None
    finally:
        content.close()
    return max(found, key=lambda entry: entry.offset, default=None)
