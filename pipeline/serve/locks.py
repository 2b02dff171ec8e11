"""One process a role in a home: a lock file held as long as the process lives."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.model.errors import ConflictError


@contextmanager
def role_lock(folder: Path, role: str) -> Iterator[None]:
    """Hold the role, or raise ConflictError that names the process which does."""
    path = folder / f"{role}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip()
            raise ConflictError(
                f"the role {role} of this home is at work already",
                where=str(path),
                got=f"process {holder or '?'}",
                remedy="stop that one first, or use another --home",
            ) from error
        with suppress(OSError):  # on a full disk the lock holds without its holder's name
            os.pwrite(handle, f"{os.getpid():<20}".encode(), 0)
        yield
    finally:
        os.close(handle)


def is_held(folder: Path, role: str) -> bool:
    """Whether some process holds the role now."""
    try:
        with role_lock(folder, role):
            return False
    except ConflictError:
        return True
