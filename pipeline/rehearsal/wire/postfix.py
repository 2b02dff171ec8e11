"""Postfix: `mail` facility by rsyslog, RFC 3164.

<22>Nov 24 09:13:05 sqh-mail01 postfix/qmgr[1402]: 4Xs0Yd1QzVz2xKb: from=<lan.ngo@sqh.example>,
size=18211, nrcpt=1 (queue active)      (one line)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from random import Random

from pipeline.rehearsal import cast
from pipeline.rehearsal.wire.text import syslog

_MAIL = 2
_LETTERS = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"


def _queue_id(rng: Random) -> str:
    return "4X" + "".join(rng.choices(_LETTERS, k=11))


def queued(at: datetime, rng: Random, host: str, sender: str, recipients: int, size: int) -> bytes:
    """The queue manager takes a message up; `recipients` is `nrcpt`."""
    return syslog(
        at, host, "postfix/qmgr[1402]",
        f"{_queue_id(rng)}: from=<{sender}>, size={size}, nrcpt={recipients} (queue active)",
        facility=_MAIL,
    )  # fmt: skip


def delivered(at: datetime, rng: Random, host: str, recipient: str, relay: str) -> bytes:
    return syslog(
        at, host, f"postfix/smtp[{rng.randrange(2000, 60_000)}]",
        f"{_queue_id(rng)}: to=<{recipient}>, relay={relay}:25, delay={rng.random() * 3:.2f}, "
        "delays=0.05/0.01/0.4/0.9, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 9F2C1A0B)",
        facility=_MAIL,
    )  # fmt: skip


def sasl_failed(at: datetime, rng: Random, host: str, address: str) -> bytes:
    return syslog(
        at, host, f"postfix/submission/smtpd[{rng.randrange(2000, 60_000)}]",
        f"warning: unknown[{address}]: SASL LOGIN authentication failed: authentication failure",
        facility=_MAIL, severity=4,
    )  # fmt: skip


def noise(
    source: cast.DrillSource, rng: Random, times: list[datetime]
) -> Iterator[tuple[datetime, bytes]]:
    """Mail comes and goes: few recipients each, a mistyped password now and then."""
    host, domain = source.host, cast.AGENCY[source.agency].domain
    for at in times:
        kind, person = rng.random(), rng.choice(cast.PEOPLE)
        pid = rng.randrange(2000, 60_000)
        outside = f"{cast.OUTSIDE_ADDRESSES}{rng.randrange(1, 255)}"
        if kind < 0.35:
            yield at, queued(
                at, rng, host, f"{person}@{domain}", rng.choice((1, 1, 1, 2, 3, 8)),
                rng.randrange(1500, 900_000),
            )  # fmt: skip
        elif kind < 0.65:
            yield (
                at,
                delivered(
                    at,
                    rng,
                    host,
                    f"cong.dan{rng.randrange(900)}@thu.example",
                    f"mx.thu.example[{outside}]",
                ),
            )
        elif kind < 0.97:
            what = rng.choice(("connect from", "disconnect from"))
            tail = (
                " ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5" if what.startswith("dis") else ""
            )
            yield (
                at,
                syslog(
                    at,
                    host,
                    f"postfix/smtpd[{pid}]",
                    f"{what} mx.thu.example[{outside}]{tail}",
                    facility=_MAIL,
                ),
            )
        else:
            yield (
                at,
                sasl_failed(at, rng, host, cast.home(source, person)),
            )
