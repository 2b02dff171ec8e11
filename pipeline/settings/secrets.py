"""Secrets by reference: ``file:/path`` or ``env:NAME``, read where they are used, never shown."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pipeline.model.errors import UsageError

INSTALLATION_KEY = "installation.key"


def read_secret(reference: str, where: str) -> str:
    """The secret that a setting refers to. Errors name the setting, never the secret."""
    kind, _, rest = reference.partition(":")
    if kind == "env":
        value = os.environ.get(rest)
        if value is None:
            raise UsageError("the secret's environment variable is not set", where=where, got=rest)
        return value
    if kind == "file":
        try:
            return Path(rest).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise UsageError(
                "the secret's file cannot be read", where=where, got=str(error)
            ) from error
    raise UsageError("a secret is a reference", where=where, expected="file:/path or env:NAME")


def installation_key(folder: Path, *, make: bool = True) -> bytes:
    """The 32-byte key of event identities; made on first use (`make`), mode 600, never changed afterwards: a new
    one in its place would take every record that comes again for a new one."""
    path = folder / INSTALLATION_KEY
    try:
        if make and not path.exists():
            _make(path)
        key = path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(
            "the installation's key is gone",
            where=str(path),
            remedy="restore it from a backup; if there is none: head -c 32 /dev/urandom into this file"
            " (records that come again are then taken for new ones)",
        ) from error
    except OSError as error:
        raise UsageError(
            "the installation's key cannot be made or read",
            where=str(path),
            got=str(error.strerror),
        ) from error
    if len(key) != 32:
        raise UsageError(
            "the installation's key is damaged",
            where=str(path),
            got=f"{len(key)} bytes",
            expected="32 bytes",
            remedy="restore it from a backup: identities of events depend on it",
        )
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(os.urandom(32))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # atomic, and never over another process's key
    finally:
        draft.unlink()
