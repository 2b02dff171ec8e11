"""Sample lines as events: what is read, what is left over, what was lost."""

from __future__ import annotations

from pipeline.model.clock import to_micros, utc_now
from pipeline.normalise.product import load_products
from pipeline.sources.onboarding.preview import DROPPED, FAILED, READ, preview

PRODUCTS = load_products()
NOW = to_micros(utc_now())
FORTIGATE = (
    b'<189>date=2026-11-24 time=09:00:00 logid="0000000013" type="traffic" subtype="forward" srcip=10.1.2.3 '
    b'srcport=70000 dstip=192.0.2.7 action="accept" nobodys="own" srcintf="port2"'
)


def test_a_line_shows_fields_leftovers_and_remarks() -> None:
    (seen,) = preview([FORTIGATE], PRODUCTS["fortinet_fortigate"], received=NOW).lines
    fields = dict(seen.fields)
    assert (seen.outcome, seen.dataset, seen.assumed_zone) == (READ, "fortinet_fortigate.log", True)
    assert (fields["source.ip"], fields["destination.ip"]) == ("10.1.2.3", "192.0.2.7")
    assert dict(seen.leftovers) == {"fortinet.firewall.nobodys": "own"}
    assert not set(fields) & {"event.id", "thapcanh.node", "event.original", "organization.id"}


def test_what_is_not_understood_and_what_is_dropped_say_so() -> None:
    made = preview([b"no such line", b"# a comment"], PRODUCTS["nginx"], received=NOW)
    assert [one.outcome for one in made.lines] == [FAILED, FAILED]
    assert made.lines[0].remarks
    assert (made.read, made.failed, made.datasets) == (0, 2, ())
    headed = preview([b"#separator \\x09"], PRODUCTS["zeek"], received=NOW)
    assert [one.outcome for one in headed.lines] == [DROPPED]


def test_the_declared_encoding_and_zone_are_used() -> None:
    line = "<38>Nov 24 09:00:00 máy sshd[7]: Accepted password for an from 203.0.113.9 port 5 ssh2"
    made = preview(
        [line.encode("utf-16-le")], PRODUCTS["linux_auth"], encoding="utf-16-le", timezone="UTC", received=NOW
    )  # fmt: skip
    (seen,) = made.lines
    assert dict(seen.fields)["host.name"] == "máy"
    assert (dict(seen.fields)["@timestamp"][11:19], seen.assumed_zone) == ("09:00:00", False)
