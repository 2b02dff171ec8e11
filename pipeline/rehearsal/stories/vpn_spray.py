"""One address tries two passwords on everybody's VPN account, gets in, and goes on by RDP.

T1110.003, T1133, T1021.001. From 01:09: `hung.do` connects from home; then forty names at the department's FortiGate, among them
names that no one has (`admin`, `test`); a few tries at two other agencies' gateways; then a tunnel for
`hung.do`, and from the tunnel's address a remote desktop on the domain controller.
"""

from __future__ import annotations

from datetime import datetime
from random import Random

from pipeline.rehearsal import cast
from pipeline.rehearsal.lines import Draft, Trip
from pipeline.rehearsal.stories import rule_ids as rules
from pipeline.rehearsal.stories.base import Tale
from pipeline.rehearsal.wire import cisco_asa, fortigate, openvpn, windows

FORTIGATE = "dt-so-khoa-hoc.fortinet_fortigate"
CONTROLLER = "dt-so-khoa-hoc.windows"
ASA, OPENVPN = "dt-cty-cap-nuoc.cisco_asa", "dt-so-quy-hoach.openvpn"
DEVICE, HOST = "SKH-FG-01", "SKH-DC01.skh.example"
ADDRESS, COUNTRY, TUNNEL = "203.0.113.45", "Netherlands", "10.212.134.207"
VICTIM = cast.TRAVELLER
NOBODIES = ("admin", "test")


def tell(start: datetime, rng: Random) -> list[Draft]:
    tale = Tale("vpn_spray", start)
    tale.begin(1, 9)
    countries = Trip(rules.CORRELATION_TWO_COUNTRIES, VICTIM, "correlation")
    home = cast.home(cast.SOURCE[FORTIGATE], VICTIM)
    tale.tell(
        FORTIGATE,
        fortigate.vpn_up(tale.at, DEVICE, VICTIM, home, "Vietnam", "10.212.134.203", 1_699_000_000),
        countries,
    )
    spray = Trip(rules.CORRELATION_VPN_SPRAY, ADDRESS, "correlation")
    everywhere = Trip(rules.CORRELATION_MANY_AGENCIES, ADDRESS, "correlation", "soc")
    success = Trip(rules.CORRELATION_SPRAY_THEN_SUCCESS, ADDRESS, "correlation")
    for name in ("admin", *cast.PEOPLE, "test"):
        tale.wait(rng.uniform(8, 28))
        trips = [spray, everywhere, success]
        if name in NOBODIES:
            trips.append(Trip(rules.FORTIGATE_VPN_DEFAULT_ACCOUNT, name))
        tale.tell(FORTIGATE, fortigate.vpn_failed(tale.at, DEVICE, name, ADDRESS, COUNTRY), *trips)
    for name in cast.PEOPLE[:4]:
        tale.wait(rng.uniform(4, 12))
        tale.tell(ASA, cisco_asa.vpn_rejected(tale.at, "CNSD-ASA-01", name, ADDRESS), everywhere)
        tale.wait(rng.uniform(4, 12))
        port = rng.randrange(32768, 61000)
        tale.tell(OPENVPN, openvpn.failed(tale.at, "sqh-vpn01", ADDRESS, port), everywhere)
    tale.wait(240)
    tale.tell(
        FORTIGATE,
        fortigate.vpn_up(tale.at, DEVICE, VICTIM, ADDRESS, COUNTRY, TUNNEL, 1_699_000_001),
        Trip(rules.FORTIGATE_VPN_ABROAD, VICTIM), success, countries,
    )  # fmt: skip
    for _ in range(2):
        tale.wait(rng.uniform(60, 120))
        tale.tell(
            CONTROLLER, windows.logon(tale.at, rng, HOST, VICTIM, TUNNEL, 10),
            Trip(rules.WINDOWS_RDP_FROM_VPN, HOST),
        )  # fmt: skip
    return tale.drafts
