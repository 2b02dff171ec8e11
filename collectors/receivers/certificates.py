"""A TLS client's certificate as the names under which a source may be registered.

In: what a connection's TLS layer says of the client's certificate, which it has verified. Out: names, the
surest first: ``sha256:<64 hex digits>`` of the certificate itself, then ``san:<name>`` for each DNS name and
address that its subject alternative names hold. A common name is none: it is not made to be compared.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from typing import Any

from pipeline.model.errors import UsageError

_FINGERPRINT = re.compile(r"(?:sha-?256[:=])?((?:[0-9a-f]{2}:?){31}[0-9a-f]{2})", re.IGNORECASE)
_SAN = re.compile(r"san:([A-Za-z0-9][A-Za-z0-9.:_-]{0,252})")


def names_of(tls: ssl.SSLObject | ssl.SSLSocket | None) -> tuple[str, ...]:
    """Empty where the connection has no TLS or the client showed no certificate."""
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    if not der or tls is None:
        return ()
    told: Any = tls.getpeercert() or {}
    alternative = [
        value for kind, value in told.get("subjectAltName", ()) if kind in {"DNS", "IP Address"}
    ]
    return (
        f"sha256:{hashlib.sha256(der).hexdigest()}",
        *(f"san:{one.lower()}" for one in alternative),
    )


def registered_name(text: str) -> str:
    """A name as people write it (openssl's fingerprint, ``san:host``) in the form that is compared."""
    text = text.strip()
    if found := _FINGERPRINT.fullmatch(text):
        return "sha256:" + found[1].replace(":", "").lower()
    if found := _SAN.fullmatch(text):
        return f"san:{found[1].lower()}"
    raise UsageError(
        "this names no certificate", got=text,
        expected="sha256:<fingerprint>, as `openssl x509 -fingerprint -sha256` prints it, or san:<host name>",
    )  # fmt: skip
