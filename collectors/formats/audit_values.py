"""Values of Linux audit records: hexadecimal texts, names of system calls, socket addresses.

In: single values as the kernel writes them (``2F746D702F61206220``, ``arch=c000003e syscall=59``,
``saddr=02000050CB007107…``). Out: what they stand for. Nothing here fails: what cannot be read stays as it is.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

HEX_TEXT: Final = frozenset(
    ("name", "comm", "exe", "cwd", "proctitle", "acct", "cmd", "path", "dir", "key", "data", "file", "vm", "watch",
     "device", "new-comm", "ocomm", "grp", "old-disk", "new-disk", "old-fs", "new-fs", "profile", "subj-path",
     "cmdline", "old-chardev", "new-chardev", "old-rng", "new-rng", "image", "unit", "sw"),
)  # fmt: skip
"""Fields whose text audit writes in hexadecimal digits where it holds a space, a quote or a control character."""

REGISTER: Final = re.compile(r"a[0-3]")
TYPE_NUMBERS: Final[Mapping[str, str]] = {
    "1300": "SYSCALL", "1302": "PATH", "1303": "IPC", "1304": "SOCKETCALL", "1305": "CONFIG_CHANGE", "1306": "SOCKADDR",
    "1307": "CWD", "1309": "EXECVE", "1319": "TTY", "1325": "NETFILTER_CFG", "1326": "SECCOMP", "1327": "PROCTITLE",
    "1330": "KERN_MODULE", "1334": "BPF", "1400": "AVC", "1403": "MAC_POLICY_LOAD", "1404": "MAC_STATUS",
    "1006": "LOGIN", "1100": "USER_AUTH", "1101": "USER_ACCT", "1103": "CRED_ACQ", "1104": "CRED_DISP",
    "1105": "USER_START", "1106": "USER_END", "1107": "USER_AVC", "1108": "USER_CHAUTHTOK", "1109": "USER_ERR",
    "1110": "CRED_REFR", "1112": "USER_LOGIN", "1113": "USER_LOGOUT", "1114": "ADD_USER", "1115": "DEL_USER",
    "1116": "ADD_GROUP", "1117": "DEL_GROUP", "1123": "USER_CMD", "1124": "USER_TTY", "1130": "SERVICE_START",
    "1131": "SERVICE_STOP", "1200": "DAEMON_START", "1201": "DAEMON_END", "1700": "ANOM_PROMISCUOUS",
    "1701": "ANOM_ABEND",
}  # fmt: skip
"""As the kernel's own log (``audit: type=1300``) writes them; linux/audit.h and libaudit.h."""

_ARCHES: Final = {"c000003e": 0, "x86_64": 0, "40000003": 1, "i386": 1, "c00000b7": 2, "aarch64": 2}  # fmt: skip
_FLAGS_IN: Final = {"open": "a1", "openat": "a2", "open_by_handle_at": "a2", "mq_open": "a1"}
_WRITING: Final = 0o3 | 0o1000
"""O_WRONLY, O_RDWR and O_TRUNC of open(2)."""
_CONTROL: Final = re.compile(r"[\x00-\x1f]+")


def unquoted(value: str, hexadecimal: bool) -> str:
    """A value without its quotes; digits that stand for a text as that text. Control characters, which
    separate the arguments of a PROCTITLE, become spaces."""
    if value[:1] in {'"', "'"}:
        return value[1:-1] if len(value) > 1 and value[-1] == value[0] else value
    if not hexadecimal or len(value) < 2 or len(value) % 2:
        return value
    try:
        text = bytes.fromhex(value).decode("utf-8", "replace")
    except ValueError:
        return value
    return _CONTROL.sub(" ", text).strip() or value


@cache
def _calls() -> dict[tuple[int, str], str]:
    table = Path(__file__).with_name("syscalls.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in table.splitlines() if line and line[0] != "#"]
    return {(arch, row[arch + 1]): row[0] for row in rows for arch in range(3) if row[arch + 1]}


def call_name(arch: str, number: str) -> str | None:
    """The name of a system call; None for an architecture or a number that we do not know."""
    if not number.isdecimal():
        return number
    known = _ARCHES.get(arch)
    return None if known is None else _calls().get((known, number))


def opened_for(fields: Mapping[str, Any]) -> str:
    """`read` or `write` for a call that opens a file, by its flags; else nothing."""
    call = str(fields.get("SYSCALL", ""))
    if call == "creat":
        return "write"
    register = _FLAGS_IN.get(call)
    try:
        flags = int(str(fields.get(register or "", "")), 16)
    except ValueError:
        return ""
    return "write" if flags & _WRITING else "read"


def address(saddr: str) -> dict[str, str]:
    """The parts of a socket address as the kernel holds it in memory."""
    try:
        raw = bytes.fromhex(saddr)
    except ValueError:
        return {}
    family = int.from_bytes(raw[:2], "little")
    if family == socket.AF_INET and len(raw) >= 8:
        return {
            "saddr.family": "ipv4", "saddr.ip": socket.inet_ntop(socket.AF_INET, raw[4:8]),
            "saddr.port": str(int.from_bytes(raw[2:4], "big")),
        }  # fmt: skip
    if family == socket.AF_INET6 and len(raw) >= 24:
        return {
            "saddr.family": "ipv6", "saddr.ip": socket.inet_ntop(socket.AF_INET6, raw[8:24]),
            "saddr.port": str(int.from_bytes(raw[2:4], "big")),
        }  # fmt: skip
    if family == socket.AF_UNIX and len(raw) > 2:
        path = raw[2:].lstrip(b"\0").split(b"\0")[0].decode("utf-8", "replace")
        return {"saddr.family": "unix", "saddr.path": path} if path else {"saddr.family": "unix"}
    return {"saddr.family": str(family)} if len(raw) >= 2 else {}
