"""Cursors of pages: opaque to callers, the use case's own key within.

>>> read_cursor(write_cursor("60.17"))
'60.17'
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from pipeline.model.errors import UsageError


class Asked(BaseModel):
    """What every list takes. A name that is no filter of the list is refused, never passed over."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Query(ge=1, le=200, description="At most so many.")] = 50
    cursor: Annotated[str, Query(max_length=400, description="`next` of the page before.")] = ""


def write_cursor(key: str | None) -> str | None:
    if key is None:
        return None
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def read_cursor(text: str) -> str | None:
    if not text:
        return None
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (UnicodeError, binascii.Error, ValueError):
        raise UsageError(
            "this is no cursor of a page", got=repr(text[:60]), remedy="begin at the first page"
        ) from None


def place_in(text: str) -> int:
    """A cursor that is a number (of a page, of a line), from 1."""
    key = read_cursor(text)
    if key is None:
        return 1
    if not key.isascii() or not key.isdigit() or not 0 < len(key) < 10 or int(key) < 1:
        raise UsageError("this is no cursor of a page", remedy="begin at the first page")
    return int(key)
