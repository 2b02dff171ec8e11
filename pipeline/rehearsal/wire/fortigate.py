"""FortiGate: FortiOS's own key=value syslog (`set format default`), no header besides the priority.

    <189>date=2026-11-24 time=09:13:05 devname="SKH-FG-01" devid="FG100FTK21000001"
    eventtime=1795486385123456789 tz="+0700" logid="0000000013" type="traffic" subtype="forward"
    level="notice" vd="root" srcip=10.11.5.21 srcport=51944 … action="accept" …      (one line)

Field order and message ids follow Fortinet's FortiOS Log Message Reference (traffic 13, SSL VPN
39424/39426/39947, admin login 32001/32002). The reason `failed to logged in` is FortiOS's spelling.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from random import Random

from pipeline.model.clock import to_micros
from pipeline.rehearsal import cast
from pipeline.rehearsal.wire.text import local

_SITES = (("HTTPS", 443, 6), ("HTTP", 80, 6), ("DNS", 53, 17), ("NTP", 123, 17))


def _line(at: datetime, device: str, priority: int, rest: str) -> bytes:
    here = local(at)
    serial = f"FG100FTK21{sum(device.encode()) % 1_000_000:06d}"
    return (
        f'<{priority}>date={here:%Y-%m-%d} time={here:%H:%M:%S} devname="{device}" devid="{serial}" '
        f'eventtime={to_micros(at)}000 tz="+0700" {rest}'
    ).encode()


def vpn_failed(at: datetime, device: str, user: str, address: str, country: str) -> bytes:
    """A wrong name or password at the SSL VPN."""
    return _line(
        at, device, 185,
        'logid="0101039426" type="event" subtype="vpn" level="alert" vd="root" '
        'logdesc="SSL VPN login fail" action="ssl-login-fail" tunneltype="ssl-web" tunnelid=0 '
        f'remip={address} srccountry="{country}" user="{user}" group="N/A" dst_host="N/A" '
        'reason="sslvpn_login_permission_denied" msg="SSL user failed to logged in"',
    )  # fmt: skip


def vpn_up(
    at: datetime, device: str, user: str, address: str, country: str, tunnel: str, number: int
) -> bytes:
    """A tunnel stands: the login went through and the client has an inner address."""
    return _line(
        at, device, 190,
        'logid="0101039947" type="event" subtype="vpn" level="information" vd="root" '
        f'logdesc="SSL VPN tunnel up" action="tunnel-up" tunneltype="ssl-tunnel" tunnelid={number} '
        f'remip={address} srccountry="{country}" tunnelip={tunnel} user="{user}" group="VPN-CanBo" '
        'dst_host="N/A" reason="tunnel established" msg="SSL tunnel established"',
    )  # fmt: skip


def admin_login(at: datetime, device: str, user: str, address: str, *, ok: bool = True) -> bytes:
    """An administrator at the device's web interface."""
    what, how = ("successful", "successfully") if ok else ("failed", "failed")
    message = f"Administrator {user} logged in {how} from https({address})"
    if not ok:
        message = (
            f"Administrator {user} login failed from https({address}) because of invalid password"
        )
    return _line(
        at, device, 190 if ok else 185,
        f'logid="010003200{1 if ok else 2}" type="event" subtype="system" '
        f'level="{"information" if ok else "alert"}" vd="root" logdesc="Admin login {what}" '
        f'user="{user}" ui="https({address})" method="https" srcip={address} dstip=10.0.0.1 '
        f'action="login" status="{"success" if ok else "failed"}" '
        f'reason="{"none" if ok else "passwd_invalid"}" msg="{message}"',
    )  # fmt: skip


def traffic(at: datetime, device: str, rng: Random, source: str, target: str, port: int, *,
            action: str = "accept", service: str = "HTTPS", protocol: int = 6,
            inward: bool = False) -> bytes:  # fmt: skip
    """A forwarded or refused session; `inward` means that it came from the outside."""
    sent, received = rng.randrange(200, 40_000), rng.randrange(200, 900_000)
    near, far = ("port2", "lan"), ("wan1", "wan")
    (side, role), (there, their_role) = (far, near) if inward else (near, far)
    if action == "deny":
        sent = received = 0
    return _line(
        at, device, 189,
        'logid="0000000013" type="traffic" subtype="forward" level="notice" vd="root" '
        f'srcip={source} srcport={rng.randrange(32768, 61000)} srcintf="{side}" srcintfrole="{role}" '
        f'dstip={target} dstport={port} dstintf="{there}" dstintfrole="{their_role}" '
        f'srccountry="Reserved" dstcountry="Reserved" sessionid={rng.randrange(10**7, 10**8)} '
        f'proto={protocol} action="{action}" policyid={0 if action == "deny" else rng.randrange(1, 40)} '
        f'policytype="policy" service="{service}" trandisp="{"noop" if inward else "snat"}" '
        f'duration={rng.randrange(1, 300)} sentbyte={sent} rcvdbyte={received} '
        f'sentpkt={sent // 500} rcvdpkt={received // 900} appcat="unscanned"',
    )  # fmt: skip


def noise(
    source: cast.DrillSource, rng: Random, times: list[datetime]
) -> Iterator[tuple[datetime, bytes]]:
    """Browsing, refused probes from outside, staff at the VPN, now and then an administrator."""
    device = source.host
    for number, at in enumerate(times):
        kind = rng.random()
        if kind < 0.80:
            service, port, protocol = rng.choices(_SITES, (70, 12, 14, 4))[0]
            yield at, traffic(
                at, device, rng, cast.inside(source, rng.randrange(1, 6), rng.randrange(20, 220)),
                f"{cast.OUTSIDE_ADDRESSES}{rng.randrange(1, 255)}", port,
                service=service, protocol=protocol,
            )  # fmt: skip
        elif kind < 0.96:
            yield at, traffic(
                at, device, rng, f"{cast.OUTSIDE_ADDRESSES}{rng.randrange(1, 255)}",
                cast.inside(source, 0, rng.randrange(2, 10)), rng.choice((22, 23, 445, 3389, 8080)),
                action="deny", service="PROBE", inward=True,
            )  # fmt: skip
        elif kind < 0.995:
            person = rng.choice(cast.CALLERS)
            address = cast.home(source, person)
            if rng.random() < 0.2:
                yield at, vpn_failed(at, device, person, address, "Vietnam")
            else:
                tunnel = f"10.212.134.{200 + rng.randrange(11)}"
                yield (
                    at,
                    vpn_up(at, device, person, address, "Vietnam", tunnel, 1_600_000_000 + number),
                )
        else:
            yield at, admin_login(at, device, "quantri", cast.inside(source, 0, 30))
