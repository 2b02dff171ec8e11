"""Secrets: made at random, shown once, kept as hashes, compared in constant time.

A secret of 256 random bits needs no slow hash: SHA-256 of it cannot be reversed by guessing.
Passwords, which people choose, get argon2id (`people.py`).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from pipeline.model.errors import NotFoundError


def new_secret() -> str:
    """43 URL-safe characters, 256 random bits."""
    return secrets.token_urlsafe(32)


def hashed(secret: str) -> str:
    """64 hex digits: what the state keeps of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def unknown_person(person: str) -> NotFoundError:
    return NotFoundError("no such person", got=person, remedy="thapcanh person list")
