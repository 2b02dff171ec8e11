"""Cursors of pages: opaque to callers, the use case's own key within.

>>> read_cursor(write_cursor("60.17"))
'60.17'
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from pipeline.model.errors import UsageError

T = TypeVar("T")


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


def page_of(
    lines: Sequence[T], asked: Asked, key: Callable[[T], str], *, begun: bool = False
) -> dict[str, Any]:
    """`items` and `next` of a list; `begun`: the lines begin behind the cursor already, and one more than the page
    shows that it goes on."""
    last = read_cursor(asked.cursor)
    if last is not None and not begun:
        places = [key(one) for one in lines]
        if last not in places:
            raise UsageError("this is no cursor of a page", remedy="begin at the first page")
        lines = lines[places.index(last) + 1 :]
    shown = lines[: asked.limit]
    return {
        "items": shown,
        "next": write_cursor(key(shown[-1])) if len(lines) > len(shown) else None,
    }
