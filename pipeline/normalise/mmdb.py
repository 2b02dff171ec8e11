"""A MaxMind database that the operator supplies, opened, or the fault in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.model.errors import UsageError

if TYPE_CHECKING:
    import maxminddb


def open_mmdb(path: Path, what: str, expected: str) -> maxminddb.Reader:
    """UsageError says that `what` cannot be read, and why."""
    import maxminddb

    try:
        return maxminddb.open_database(path, maxminddb.MODE_AUTO)
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        raise UsageError(
            f"{what} cannot be read", where=str(path), got=str(error), expected=expected
        ) from None
