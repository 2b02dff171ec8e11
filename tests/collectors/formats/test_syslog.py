"""What is a syslog header, and what only looks like one."""

from __future__ import annotations

import pytest

from collectors.formats.syslog import NO_HEADER, Header, split


def test_a_log_files_own_time_is_no_header_unless_host_and_program_follow() -> None:
    for line in (
        "2026-11-25 03:51:40 203.0.113.5:40931 TLS: Username/Password authentication succeeded",
        "2026-11-25 03:51:40 an/203.0.113.5:40931 MULTI_sva: pool returned IPv4=10.8.0.2",
        "2026-11-25 03:51:38 Initialization Sequence Completed",
    ):
        assert split(line) == (NO_HEADER, line)
    assert split("2026-11-25 03:51:40 vpn1 openvpn[7]: ready") == (
        Header(None, "2026-11-25 03:51:40", "vpn1", "openvpn", "7"),
        "ready",
    )


def test_behind_a_priority_a_time_with_a_blank_begins_a_header() -> None:
    assert split("<30>2026-11-25 03:51:40 vpn1 ready") == (
        Header("30", "2026-11-25 03:51:40", "vpn1"),
        "ready",
    )


TEXT = "%SYS-5-CONFIG_I: Configured from console by vty2 (10.34.195.36)"


@pytest.mark.parametrize(
    ("before", "header"),
    [
        ("<189>46: *Mar  1 18:48:50.483 UTC: ", Header("189", "Mar  1 18:48:50.483 UTC")),
        (
            "<189>46: BR1: 000123: Nov 24 09:13:05 ICT: ",
            Header("189", "Nov 24 09:13:05 ICT", "BR1"),
        ),
        ("<189>46: BR1: Nov 24 2026 09:13:05: ", Header("189", "Nov 24 2026 09:13:05", "BR1")),
        ("<189>Nov 24 09:13:05 BR1 ", Header("189", "Nov 24 09:13:05", "BR1")),
        ("<189>Nov 24 09:13:05 UTC ", Header("189", "Nov 24 09:13:05", "UTC")),
    ],
)
def test_cisco_counts_names_itself_and_tells_the_zone(before: str, header: Header) -> None:
    assert split(before + TEXT) == (header, TEXT)
