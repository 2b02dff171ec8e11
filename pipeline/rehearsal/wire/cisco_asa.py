"""Cisco ASA: syslog with `logging timestamp` and `logging device-id hostname`.

    <166>Nov 24 2026 09:13:05 VHT-ASA-01 : %ASA-6-302013: Built outbound TCP connection 88214 for
    outside:192.0.2.7/443 (192.0.2.7/443) to inside:10.31.2.40/51022 (198.51.100.2/51022)   (one line)

Texts follow Cisco's syslog message guide (302013/4, 106023, 113005, 113015, 722051, 111008, 111010).
The priority is facility local4 (20) and the severity of the message.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from random import Random

from pipeline.rehearsal import cast
from pipeline.rehearsal.wire.text import MONTHS, local


def _line(at: datetime, device: str, severity: int, number: int, text: str) -> bytes:
    here = local(at)
    stamp = f"{MONTHS[here.month - 1]} {here.day:02d} {here.year} {here:%H:%M:%S}"
    return f"<{160 + severity}>{stamp} {device} : %ASA-{severity}-{number}: {text}".encode()


def vpn_rejected(at: datetime, device: str, user: str, address: str) -> bytes:
    """A wrong password for a local user of the AnyConnect VPN."""
    return _line(
        at, device, 6, 113015,
        "AAA user authentication Rejected : reason = Invalid password : local database : "
        f"user = {user} : user IP = {address}",
    )  # fmt: skip


def vpn_assigned(at: datetime, device: str, user: str, address: str, inner: str) -> bytes:
    """A VPN session stands."""
    return _line(
        at, device, 4, 722051,
        f"Group <GP-CANBO> User <{user}> IP <{address}> IPv4 Address <{inner}> "
        "IPv6 address <::> assigned to session",
    )  # fmt: skip


def command(at: datetime, device: str, user: str, address: str, text: str) -> bytes:
    """An administrator's command."""
    return _line(
        at, device, 5, 111010,
        f"User '{user}', running 'CLI' from IP {address}, executed '{text}'",
    )  # fmt: skip


def noise(
    source: cast.DrillSource, rng: Random, times: list[datetime]
) -> Iterator[tuple[datetime, bytes]]:
    """Connections built and torn down, refused probes, staff at the VPN."""
    device = source.host
    connection = 80_000
    for at in times:
        kind = rng.random()
        near = f"{cast.inside(source, rng.randrange(1, 4), rng.randrange(20, 220))}"
        far = f"{cast.OUTSIDE_ADDRESSES}{rng.randrange(1, 255)}"
        port, their = rng.randrange(32768, 61000), rng.choice((443, 443, 443, 80, 993))
        if kind < 0.45:
            connection += 1
            yield at, _line(
                at, device, 6, 302013,
                f"Built outbound TCP connection {connection} for outside:{far}/{their} ({far}/{their}) "
                f"to inside:{near}/{port} (198.51.100.2/{port})",
            )  # fmt: skip
        elif kind < 0.80:
            yield at, _line(
                at, device, 6, 302014,
                f"Teardown TCP connection {connection} for outside:{far}/{their} to inside:{near}/{port} "
                f"duration 0:{rng.randrange(5):02d}:{rng.randrange(60):02d} "
                f"bytes {rng.randrange(200, 900_000)} TCP FINs",
            )  # fmt: skip
        elif kind < 0.95:
            yield at, _line(
                at, device, 4, 106023,
                f"Deny tcp src outside:{far}/{port} dst inside:{cast.inside(source, 0, 5)}/"
                f'{rng.choice((22, 23, 445, 3389))} by access-group "OUTSIDE_IN" [0x0, 0x0]',
            )  # fmt: skip
        else:
            person = rng.choice(cast.CALLERS)
            home = cast.home(source, person)
            if rng.random() < 0.15:
                yield at, vpn_rejected(at, device, person, home)
            else:
                yield (
                    at,
                    vpn_assigned(
                        at, device, person, home, cast.inside(source, 250, rng.randrange(10, 90))
                    ),
                )
