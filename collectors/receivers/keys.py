"""API keys of sources: random, shown once, kept hashed, and the forms in which shippers send them.

A key has a public id and a secret of 256 random bits; ``id:secret`` is what an officer pastes into a
shipper. Shippers then send one of::

    Authorization: ApiKey aWQ6c2VjcmV0        base64 of id:secret (Beats, Logstash, elasticsearch-py)
    Authorization: Bearer aWQ6c2VjcmV0        the same, or id:secret as it is (Vector, rsyslog)
    Authorization: Basic aWQ6c2VjcmV0         user = id, password = secret (Fluent Bit, syslog-ng)

A secret of 256 random bits needs no slow hash: SHA-256 of it cannot be reversed by guessing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets


def new_key() -> tuple[str, str, bytes]:
    """A new key's id (20 hex digits), secret (43 characters) and the hash to keep of it."""
    secret = secrets.token_urlsafe(32)
    return secrets.token_hex(10), secret, hashed(secret)


def hashed(secret: str) -> bytes:
    """32 bytes: all that is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def matches(secret: str, kept: bytes) -> bool:
    """Compared in constant time; an empty `kept` (no such key) costs as much as a wrong secret."""
    return hmac.compare_digest(hashed(secret), kept or bytes(32))


def from_header(authorization: str) -> tuple[str, str] | None:
    """The id and the secret that an ``Authorization`` header carries; None if it carries none."""
    scheme, _, value = authorization.strip().partition(" ")
    value = value.strip()
    if scheme.lower() not in {"apikey", "bearer", "basic"} or not value:
        return None
    if scheme.lower() == "bearer" and ":" in value:
        text = value
    else:
        try:
            text = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
    key_id, colon, secret = text.partition(":")
    return (key_id, secret) if colon and key_id and secret else None
