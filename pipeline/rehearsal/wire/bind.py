"""BIND 9: the query log by syslog (`category queries { default_syslog; }`), RFC 3164.

<30>Nov 24 09:13:05 ptc-dns01 named[712]: client @0x7f2c3c0a1b60 10.22.2.40#51522 (tin.example):
query: tin.example IN A +E(0)K (10.22.0.53)      (one line)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from random import Random

from pipeline.rehearsal import cast
from pipeline.rehearsal.wire.text import syslog

_DAEMON = 3
_NAMES = (
    "tin.example", "www.bao.example", "mail.thu.example", "dichvucong.example", "cdn3.hoc.example",
    "ntp.gio.example", "update.kho.example", "_ldap._tcp.dc._msdcs.noibo.example",
)  # fmt: skip


def query(
    at: datetime, rng: Random, host: str, client: str, server: str, name: str, kind: str = "A"
) -> bytes:
    """One question of a client."""
    return syslog(
        at, host, "named[712]",
        f"client @0x7f2c{rng.randrange(16**8):08x} {client}#{rng.randrange(32768, 61000)} ({name}): "
        f"query: {name} IN {kind} +E(0)K ({server})",
        facility=_DAEMON,
    )  # fmt: skip


def noise(
    source: cast.DrillSource, rng: Random, times: list[datetime]
) -> Iterator[tuple[datetime, bytes]]:
    """Machines look up what machines look up; a mail filter asks for TXT records of senders."""
    server = cast.inside(source, 0, 53)
    for at in times:
        client = cast.inside(source, rng.randrange(2, 4), rng.randrange(20, 120))
        name = rng.choice(_NAMES)
        kind = (
            "SRV" if name.startswith("_") else rng.choices(("A", "AAAA", "HTTPS"), (70, 22, 8))[0]
        )
        if rng.random() < 0.03:
            client, name, kind = (
                cast.inside(source, 0, 25),
                f"s1._domainkey.thu{rng.randrange(9)}.example",
                "TXT",
            )
        yield at, query(at, rng, source.host, client, server, name, kind)
