"""The contract of a receiver: a socket in, whole records into the intake, nothing lost unsaid.

A receiver frames bytes into records, asks the intake's directory who sent them, and hands them on.
It parses nothing inside a record. Invariant, whatever happens: for each source
``received == spooled + dropped (by reason) + what is in hand``, and a record is acknowledged (where the
transport can) only after the spool has it on disk. `tests/contract/test_receiver_contract.py` holds
every receiver to it.
"""

from __future__ import annotations

import errno
import ssl
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

from pipeline.model.errors import UsageError
from pipeline.settings.values import CollectSettings, Listener


class Delivery(StrEnum):
    """What a sender may rely on."""

    ACKNOWLEDGED = "acknowledged"
    """Nothing that was acknowledged is lost, whatever dies and whenever."""
    PLAIN = "plain"
    """Lost only when the collector is killed: at most what the socket buffers held."""
    BEST_EFFORT = "best effort"
    """May be lost under load; what the kernel drops is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one sender may take. Sizes in bytes, times in seconds; `rate` in records a second
    of one source, 0 for any."""

    record: int = 1 << 20
    connections: int = 2000
    connections_per_source: int = 500
    body: int = 64 << 20
    bodies_in_hand: int = 256 << 20
    unfinished: float = 60
    unfinished_bytes: int = 64 << 20
    assemble: float = 2.0
    agency_bytes: int = 0
    agency_seconds: float = 0
    rate: float = 0
    udp_buffer: int = 4 << 20

    @classmethod
    def of(cls, settings: CollectSettings) -> Limits:
        return cls(
            record=settings.max_record_bytes,
            connections=settings.max_connections,
            rate=settings.max_rate_per_source,
            connections_per_source=max(1, settings.max_connections // 4),
            assemble=settings.assemble_seconds,
            agency_bytes=settings.spool_agency_bytes,
            agency_seconds=settings.spool_agency_hours * 3600,
        )


class Receiver(Protocol):
    """`start` binds and returns with the port that it got; `stop` stores what is in hand."""

    delivery: ClassVar[Delivery]
    port: int

    @property
    def name(self) -> str: ...

    async def start(self) -> None:
        """Raises UsageError when the address cannot be bound or a certificate cannot be read."""

    async def stop(self, grace: float) -> None:
        """Take no more, store what has arrived, and be gone within `grace` seconds."""

    def sweep(self) -> None:
        """Called every second: close what is stuck, read the kernel's counters."""


def cannot_listen(listener: Listener, error: OSError) -> UsageError:
    """The error of `bind`, with the setting that it comes from."""
    what = {
        errno.EADDRINUSE: "the port is in use",
        errno.EACCES: "the port may not be used by this user",
        errno.EADDRNOTAVAIL: "the address is not one of this machine's",
    }.get(error.errno or 0, f"the address cannot be listened on: {error}")
    return UsageError(
        what,
        where=f"collect.listeners {listener.name}",
        got=f"{listener.address}:{listener.port}",
        remedy="Change the setting, or stop what uses it (ss -lntup)",
    )


def tls_context(listener: Listener) -> ssl.SSLContext | None:
    """TLS as the listener's files say; None without a certificate. A client CA makes it mutual."""
    if not listener.certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(listener.certificate, listener.key or None)
        if listener.client_ca:
            context.load_verify_locations(listener.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(
            "the listener's certificate, key or client CA cannot be read",
            where=f"collect.listeners {listener.name}",
            got=str(error),
            expected="PEM files",
        ) from error
    return context
