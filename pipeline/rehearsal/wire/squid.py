"""Squid: the native access log, as a shipper reads it from the file.

1795486385.123    212 10.21.2.40 TCP_TUNNEL/200 4512 CONNECT tin.example:443 - HIER_DIRECT/192.0.2.7 -
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from random import Random

from pipeline.model.clock import to_micros
from pipeline.rehearsal import cast

_SITES = (
    "tin.example",
    "bao.example",
    "dichvucong.example",
    "hoc.example",
    "ban-do.example",
    "kho.example",
)


def access(at: datetime, rng: Random, client: str, method: str, url: str, *, peer: str, status: int = 200,
           size: int = 4512, kind: str = "text/html", user: str = "-",
           result: str = "TCP_MISS") -> bytes:  # fmt: skip
    """One request through the proxy; `peer` is the address of the server asked."""
    micros = to_micros(at)
    return (
        f"{micros // 1_000_000}.{micros // 1000 % 1000:03d} {rng.randrange(5, 2500):>6} {client} "
        f"{result}/{status} {size} {method} {url} {user} HIER_DIRECT/{peer} {kind}"
    ).encode()


def noise(
    source: cast.DrillSource, rng: Random, times: list[datetime]
) -> Iterator[tuple[datetime, bytes]]:
    """Staff browse: mostly tunnels, some pages and documents."""
    for at in times:
        client = cast.inside(source, rng.randrange(2, 4), rng.randrange(20, 120))
        site, peer = rng.choice(_SITES), f"{cast.OUTSIDE_ADDRESSES}{rng.randrange(1, 255)}"
        if rng.random() < 0.8:
            yield at, access(
                at, rng, client, "CONNECT", f"{site}:443", peer=peer, size=rng.randrange(900, 900_000),
                kind="-", result="TCP_TUNNEL",
            )  # fmt: skip
        else:
            path, kind = rng.choice(
                (
                    ("", "text/html"),
                    ("anh/1.png", "image/png"),
                    ("vanban/qd-12.pdf", "application/pdf"),
                )
            )
            yield at, access(
                at, rng, client, "GET", f"http://{site}/{path}", peer=peer,
                size=rng.randrange(900, 300_000), kind=kind, result=rng.choice(("TCP_MISS", "TCP_MEM_HIT")),
            )  # fmt: skip
