"""Secrets by reference: ``file:/path`` or ``env:NAME``, read where they are used, never shown."""

from __future__ import annotations

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


def installation_key(folder: Path) -> bytes:
    """The 32-byte key of event identities; made on first use, mode 600, never changed afterwards."""
    path = folder / INSTALLATION_KEY
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        draft = folder / f".{INSTALLATION_KEY}.{os.getpid()}"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(os.urandom(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # atomic, and never over another process's key
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    key = path.read_bytes()
    if len(key) != 32:
        raise UsageError(
            "the installation's key is damaged",
            where=str(path),
            got=f"{len(key)} bytes",
            expected="32 bytes",
            remedy="restore it from a backup: identities of events depend on it",
        )
    return key
