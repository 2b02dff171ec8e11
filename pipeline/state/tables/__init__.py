"""One file an area. Importing this package registers every table with the metadata."""

from __future__ import annotations

from pipeline.state.tables import (
    access,
    desk,
    detection,
    intake,
    jobs,
    lake,
    operation,
    register,
    rules,
    tickets,
)

__all__ = [
    "access",
    "desk",
    "detection",
    "intake",
    "jobs",
    "lake",
    "operation",
    "register",
    "rules",
    "tickets",
]
