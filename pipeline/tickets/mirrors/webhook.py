"""A signed webhook: each deed is one POST, which its receiver can verify and recognise.

    POST /hook
    Thapcanh-Key: 0194…5c.3                       the same for every repeat of this deed
    Thapcanh-Timestamp: 1795514400                seconds since 1970, of this sending
    Thapcanh-Signature: v1=9f86d0…                HMAC-SHA256(secret, timestamp + "." + body), hex

    {"key": "0194…5c.3", "deed": "comment", "ticket": {…}, "subject": "…", "text": "…"}

A receiver recomputes the signature over the bytes as they came, compares in constant time, refuses timestamps
more than five minutes off, and keeps the keys it has done. It answers 200 with ``{"key": "…"}``, the key of the
request (so that no other system passes for it); to a repeat it adds ``"known": true``, or answers 409. `verify` is
that receiver's half, for those who write theirs in Python.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from pipeline.tickets.mirrors.base import Answer, Changes, Letter, Verdict
from pipeline.tickets.mirrors.line import Line, Refused, odd

KEY: Final = "Thapcanh-Key"
STAMP: Final = "Thapcanh-Timestamp"
SIGNATURE: Final = "Thapcanh-Signature"
WINDOW: Final = 300
"""Seconds that a timestamp may be off."""


def sign(secret: str, stamp: int, body: bytes) -> str:
    made = hmac.new(secret.encode(), str(stamp).encode() + b"." + body, hashlib.sha256)
    return f"v1={made.hexdigest()}"


def verify(secret: str, stamp: str, signature: str, body: bytes, *, now: float) -> bool:
    """Whether a request is genuine and fresh."""
    if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 12:
        return False
    fresh = abs(now - int(stamp)) <= WINDOW
    return (
        hmac.compare_digest(sign(secret, int(stamp), body).encode(), signature.encode()) and fresh
    )


class Webhook:
    looks_up = False
    proven = True
    lag = 0.0
    form = "plain"

    def __init__(self, line: Line, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._line, self._secret, self._clock = line, secret, clock

    def check(self) -> str:
        self._post({"key": "", "deed": "check"}, "")
        return "it takes signed requests"

    def create(self, letter: Letter) -> Answer:
        return self._deed("create", letter, letter.ticket, letter.body)

    def update(self, remote: str, letter: Letter) -> Answer:
        return self._deed("update", letter, f"{letter.deed}.update", "")

    def comment(self, remote: str, letter: Letter) -> Answer:
        return self._deed("comment", letter, letter.deed, letter.note)

    def close(self, remote: str, letter: Letter) -> Answer:
        return self._deed("close", letter, f"{letter.deed}.close", "")

    def reopen(self, remote: str, letter: Letter) -> Answer:
        return self._deed("reopen", letter, f"{letter.deed}.reopen", "")

    def look_up(self, letter: Letter) -> Answer:
        return Answer(Verdict.ABSENT, why="a webhook cannot be asked: its receiver knows the key")

    def look_up_comment(self, remote: str, letter: Letter) -> Answer:
        return self.look_up(letter)

    def changes(self, cursor: str, remotes: Sequence[str]) -> Changes:
        return Changes()

    def _deed(self, deed: str, letter: Letter, key: str, text: str) -> Answer:
        body = {
            "key": key, "deed": deed, "ticket": dict(letter.facts), "subject": letter.subject,
            "text": text, "link": letter.link,
        }  # fmt: skip
        try:
            said = self._post(body, key)
        except Refused as refused:
            if refused.status == 409:
                return Answer(Verdict.KNOWN, remote=letter.ticket)
            return refused.answer
        known = said.get("known") is True
        return Answer(Verdict.KNOWN if known else Verdict.DONE, remote=letter.ticket)

    def _post(self, body: dict[str, Any], key: str) -> dict[str, Any]:
        raw = json.dumps(body, ensure_ascii=False).encode()
        stamp = int(self._clock())
        headers = {KEY: key, STAMP: str(stamp), SIGNATURE: sign(self._secret, stamp, raw)}
        said = self._line.ask("POST", "", raw=raw, headers=headers)
        if not isinstance(said, dict) or said.get("key") != key:
            raise odd("it does not name the key")
        return said
