"""The header of a syslog line, BSD (RFC 3164) or RFC 5424, as devices really send it.

In: a line, e.g. ::

    <34>Oct 11 22:14:15 mymachine su[230]: 'su root' failed for lonvick on /dev/pts/8
    <165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 ID47 [a@1 b="c"] It's time
    2026-11-24T09:00:00.123456+07:00 mail postfix/smtpd[77]: connect from unknown
    <134>1 2026-11-24T09:00:00Z host LEEF:1.0|V|P|1|7|src=…   (RFC 5424 as far as the host)
    <189>date=2026-11-24 time=09:00:00 devname="FG"        (no header but the priority)
    <189>46: BR1: 000123: *Mar  1 18:48:50.483 UTC: %SYS-5-CONFIG_I: Configured from console

Out: a `Header` and the message. Every part but the message may be missing; then it is None.
Invariant: what is not certainly a header stays in the message; nothing is cut from the text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple


class Header(NamedTuple):
    """`time` is text as it came; a BSD time has no year and no zone."""

    priority: str | None = None
    time: str | None = None
    host: str | None = None
    program: str | None = None
    pid: str | None = None
    msgid: str | None = None
    data: str | None = None


NAMES: Final = tuple(f"syslog.{name}" for name in Header._fields)
NO_HEADER: Final = Header()

_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_BSD_TIME = rf"{_MONTH} [ \d]?\d(?: \d{{4}})? \d\d:\d\d:\d\d(?:\.\d{{1,6}})?(?: \d{{4}}(?= ))?"
# Cisco writes the zone behind the time, and before it a counter, its own name and another counter
_ZONE = r"(?: (?:UTC|GMT|ICT)(?=:))?"
_COUNTED = r"(?:\d+: (?:([A-Za-z][\w.-]{0,62}): )?(?:\d+: )?)?"
_ISO_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"

# Oct 11 22:14:15 host program[pid]: message
_TAG = r"(?!CEF:|LEEF:)([A-Za-z_/(][^\s:\[\]=,\"']{0,127})(?:\[([^\]\s]{1,64})\])?:(?: |(?=\S)|$)"
_HOST = r"([^\s:=\[\]\"{}|,]{1,255}(?::[0-9A-Fa-f:]+)?)"
_OLD = re.compile(
    rf"(?:<(\d{{1,3}})> ?)?(?:1 (?=\d{{4}}-)|{_COUNTED})[*.]?({_BSD_TIME}{_ZONE}|{_ISO_TIME}):?[ \t]{{1,2}}"
    rf"(?:{_HOST} (?:: |{_TAG})?|{_TAG})?",
    re.ASCII,
)
# A log file's own time has a blank, too (OpenVPN, dpkg): without a priority it begins a header only where
# a host and a program stand behind it.
_BLANK = re.compile(rf"()()({_ISO_TIME}) ([A-Za-z0-9._-]{{1,255}}) {_TAG}()()", re.ASCII)
# Real devices that send neither time nor host: <30>dhcpd: DHCPREQUEST …
_BARE = re.compile(rf"<(\d{{1,3}})>(?:{_TAG})?", re.ASCII)

# <165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 ID47 [a@1 b="c"] It's time
_NEW = re.compile(
    r"<(\d{1,3})>\d{1,2} (?!\d{4}-\d\d-\d\d )(\S+) (\S+) (\S+) (\S+) (\S+) (-|(?:\[(?:[^\"\]]|\"(?:[^\"\\]|\\.)*\")*\])+) ?",
    re.ASCII,
)
# <189>date=2026-11-24 …, of devices that send a hundred thousand of them; no program has a `=` in its name
_KEYED = re.compile(r"<(\d{1,3})>(?=[a-z_]{1,32}=)", re.ASCII)
_BOM = "\ufeff"
_BEGINS_TIME = frozenset("JFMASOND0123456789*.")


def split(line: str) -> tuple[Header, str]:
    """The header and the message of one line."""
    first = line[:1]
    if first == "<":
        keyed = _KEYED.match(line)
        if keyed is not None:
            return _alone(keyed[1]), line[keyed.end() :]
        new = _NEW.match(line) if line[2:7].find(">") >= 0 else None
        if new is not None:
            parts = [None if part == "-" else part for part in new.groups()]
            return Header(*parts), line[new.end() :].removeprefix(_BOM)
        end = line.find(">", 1, 5)
        if not 2 <= end <= 4:
            return NO_HEADER, line
        begins = end + 1 + (line[end + 1 : end + 2] == " ")
        if line[begins : begins + 1] not in _BEGINS_TIME:
            return _bare(line)
    old = (_BLANK if line[10:11] == " " and line[4:5] == "-" else _OLD).match(line)
    if old is not None:
        priority, origin, time, host, program, pid, lone, lone_pid = old.groups()
        told = Header(
            priority or None, time, host or origin or None, program or lone, pid or lone_pid
        )
        return told, line[old.end() :]
    return _bare(line) if first == "<" else (NO_HEADER, line)


@lru_cache(1024)
def _alone(priority: str) -> Header:
    return Header(priority)


def _bare(line: str) -> tuple[Header, str]:
    """Nothing but the priority, and perhaps a program."""
    bare = _BARE.match(line)
    if bare is None:
        return NO_HEADER, line
    return Header(bare[1], None, None, bare[2], bare[3]), line[bare.end() :]


def facility(priority: int) -> int:
    return priority >> 3


def severity(priority: int) -> int:
    return priority & 7
