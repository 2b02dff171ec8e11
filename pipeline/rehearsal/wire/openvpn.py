"""OpenVPN 2.x by syslog (`--syslog ovpn-server`), RFC 3164.

    <29>Nov 24 09:13:05 sqh-vpn01 ovpn-server[812]: 198.51.100.29:50122 TLS: Username/Password
    authentication succeeded for username 'lan.ngo' [CN SET]      (one line)
    <29>Nov 24 09:13:05 sqh-vpn01 ovpn-server[812]: 198.51.100.29:50122 [lan.ngo] Peer Connection
    Initiated with [AF_INET]198.51.100.29:50122      (one line)
    <27>Nov 24 09:13:05 sqh-vpn01 ovpn-server[812]: 198.51.100.29:50122 TLS Auth Error: Auth
    Username/Password verification failed for peer      (one line)

A failure does not name the user; with `--verb 4` and the PAM plugin a line before it does:
``PLUGIN AUTH-PAM: BACKGROUND: user 'admin' failed to authenticate: Authentication failure``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from random import Random

from pipeline.rehearsal import cast
from pipeline.rehearsal.wire.text import syslog

_DAEMON = 3


def _line(at: datetime, host: str, text: str, severity: int = 5) -> bytes:
    return syslog(at, host, "ovpn-server[812]", text, facility=_DAEMON, severity=severity)


def failed(at: datetime, host: str, address: str, port: int) -> bytes:
    """A wrong name or password."""
    return _line(
        at, host,
        f"{address}:{port} TLS Auth Error: Auth Username/Password verification failed for peer", 3,
    )  # fmt: skip


def succeeded(at: datetime, host: str, user: str, address: str, port: int) -> bytes:
    return _line(
        at, host,
        f"{address}:{port} TLS: Username/Password authentication succeeded for username '{user}' [CN SET]",
    )  # fmt: skip


def initiated(at: datetime, host: str, user: str, address: str, port: int) -> bytes:
    return _line(
        at, host,
        f"{address}:{port} [{user}] Peer Connection Initiated with [AF_INET]{address}:{port}",
    )  # fmt: skip


def noise(
    source: cast.DrillSource, rng: Random, times: list[datetime]
) -> Iterator[tuple[datetime, bytes]]:
    """Staff connect from home, keys are renewed, a password is mistyped."""
    for at in times:
        person, port = rng.choice(cast.CALLERS), rng.randrange(32768, 61000)
        home, kind = cast.home(source, person), rng.random()
        if kind < 0.35:
            yield at, succeeded(at, source.host, person, home, port)
        elif kind < 0.70:
            yield at, initiated(at, source.host, person, home, port)
        elif kind < 0.95:
            yield at, _line(
                at, source.host,
                f"{person}/{home}:{port} TLS: soft reset sec=3557/3557 bytes=482211/-1 pkts=3120/0",
            )  # fmt: skip
        else:
            yield at, failed(at, source.host, home, port)
