"""What several products share on the wire: syslog's header and the local writing of a time.

<86>Nov 24 09:13:05 skh-app01 sshd[2041]: Accepted publickey for …      RFC 3164, local time
"""

from __future__ import annotations

from datetime import datetime

from pipeline.model.clock import CITY_ZONE

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def local(at: datetime) -> datetime:
    """The city's clock: what its devices write."""
    return at.astimezone(CITY_ZONE)


def bsd_time(at: datetime) -> str:
    """``Nov  4 09:13:05``: the day padded with a blank, no year, local."""
    here = local(at)
    return f"{MONTHS[here.month - 1]} {here.day:>2} {here:%H:%M:%S}"


def common_log_time(at: datetime) -> str:
    """``24/Nov/2026:09:13:05 +0700``: as web servers write it, whatever the locale."""
    here = local(at)
    return f"{here.day:02d}/{MONTHS[here.month - 1]}/{here.year}:{here:%H:%M:%S} +0700"


def millis(at: datetime) -> str:
    return f"{at.microsecond // 1000:03d}"


def syslog(
    at: datetime, host: str, tag: str, text: str, *, facility: int, severity: int = 6
) -> bytes:
    """An RFC 3164 line as rsyslog forwards it."""
    return f"<{facility * 8 + severity}>{bsd_time(at)} {host} {tag}: {text}".encode()
