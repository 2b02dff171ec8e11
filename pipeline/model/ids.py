"""Identities: keyed, collision-proof against a hostile sender, the same in every process."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable


def _absorb(digest: hashlib.blake2b, parts: Iterable[bytes]) -> None:
    for part in parts:  # each part under its length, so that ("ab", "c") and ("a", "bc") differ
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)


def event_id(key: bytes, source: str, identity: bytes, body: bytes) -> bytes:
    """16 bytes: keyed BLAKE2b-128 over source, record identity and the record's bytes.

    `key` is the installation's (16 to 64 bytes). `identity` is the first that exists of: the
    record's own (computer + channel + record id), file fingerprint + offset, node + sequence.
    """
    digest = hashlib.blake2b(key=key, digest_size=16)
    _absorb(digest, (source.encode(), identity, body))
    return digest.digest()


def receipt_identity(node: str, sequence: int) -> bytes:
    """The identity of a record that has none of its own: its first receipt."""
    return b"r\0" + node.encode() + b"\0" + sequence.to_bytes(8, "big")


def content_hash(*parts: str | bytes) -> str:
    """32 hex digits that name a content: a rule revision, a rule set, a finding."""
    digest = hashlib.blake2b(digest_size=16)
    _absorb(digest, (part.encode() if isinstance(part, str) else part for part in parts))
    return digest.hexdigest()


def new_id() -> str:
    """26 hex digits, in order of making: 48 bits of milliseconds, 56 random bits."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(7)}"
