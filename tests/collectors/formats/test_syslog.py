"""What is a syslog header, and what only looks like one."""

from __future__ import annotations

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
