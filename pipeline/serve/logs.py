"""Structured logs: one JSON object a line, no secrets, no text of events.

What cannot be written there (a full disk) goes to standard error: an alarm must find a way out.

``{"time": "2026-11-24T09:00:00.000Z", "level": "info", "role": "detect", "message": "run done", "events": 10}``
"""

from __future__ import annotations

import contextlib
import json
import logging
import logging.handlers
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.model.clock import to_iso

MAX_BYTES, KEPT = 10_000_000, 5
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record, with whatever `extra` it carries, as one JSON object."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": to_iso(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "role": self._role,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class _LogFile(logging.handlers.RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(self.format(record) + "\n")


def log_to(folder: Path, role: str) -> None:
    """Send this process's log to ``<folder>/<role>.log``, turned over at 10 MB."""
    handler = _LogFile(
        folder / f"{role}.log", maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8"
    )
    handler.setFormatter(JsonLines(role))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for chatty in ("uvicorn.access", "apscheduler", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
