"""Where a page of a search ends, as a key that comes back with the next request.

In: the time and the id of the last event shown. Out: 37 bytes in base64, which nobody need read: version,
microseconds, id, and a check that a key of another query, or one that was typed, does not pass. Pages are
newest first by (`@timestamp`, `event.id`), so events that arrive meanwhile shift nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from pipeline.model.errors import UsageError

MAX_PAGE: Final = 1_000
_FORM: Final = struct.Struct(">Bq16s")
_VERSION: Final = 1
_CHECK: Final = 8


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """The place of an event in the order of time."""

    time: int
    id: bytes


def write_key(key: Key, query: str) -> str:
    body = _FORM.pack(_VERSION, key.time, key.id)
    return base64.urlsafe_b64encode(body + _check(body, query)).rstrip(b"=").decode()


def read_key(text: str, query: str) -> Key:
    """Raises UsageError for anything that `write_key` did not make for this query."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    body, check = raw[: _FORM.size], raw[_FORM.size :]
    if len(raw) != _FORM.size + _CHECK or check != _check(body, query) or body[0] != _VERSION:
        raise UsageError(
            "this is no key of a page of this search", where="after", got=text[:80],
            remedy="begin at the first page",
        )  # fmt: skip
    _, time, event = _FORM.unpack(body)
    return Key(time, event)


def check_limit(limit: int) -> int:
    if not 1 <= limit <= MAX_PAGE:
        raise UsageError(
            "a page of that size is not given", where="limit", got=str(limit),
            expected=f"1 to {MAX_PAGE}", remedy="take several pages",
        )  # fmt: skip
    return limit


def _check(body: bytes, query: str) -> bytes:
    return hashlib.blake2b(body + query.encode(), digest_size=_CHECK).digest()
