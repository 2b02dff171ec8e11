"""Linux authentication: sshd, sudo, su, useradd, cron by rsyslog (`auth,authpriv`), RFC 3164.

<86>Nov 24 09:13:05 skh-app01 sshd[2041]: Accepted publickey for van.doan from 10.11.0.30 port
50122 ssh2: ED25519 SHA256:…      (one line)
<85>Nov 24 09:13:09 skh-app01 sudo: van.doan : TTY=pts/0 ; PWD=/home/van.doan ; USER=root ; COMMAND=…
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from random import Random

from pipeline.rehearsal import cast
from pipeline.rehearsal.wire.text import syslog

_AUTHPRIV = 10
_ADMINS = ("van.doan", "viet.to", "tuan.mac")
_CHORES = (
    "/usr/bin/systemctl status nginx", "/usr/bin/apt-get update", "/usr/bin/journalctl -u ssh -n 50",
    "/usr/bin/systemctl restart php8.2-fpm", "/usr/bin/df -h", "/usr/bin/tail -n 100 /var/log/syslog",
)  # fmt: skip


def sshd(at: datetime, host: str, pid: int, text: str) -> bytes:
    return syslog(at, host, f"sshd[{pid}]", text, facility=_AUTHPRIV)


def accepted(at: datetime, host: str, pid: int, user: str, address: str, port: int) -> bytes:
    """A login by password."""
    return sshd(at, host, pid, f"Accepted password for {user} from {address} port {port} ssh2")


def failed(at: datetime, host: str, pid: int, user: str, address: str, port: int) -> bytes:
    return sshd(at, host, pid, f"Failed password for {user} from {address} port {port} ssh2")


def sudo(
    at: datetime, host: str, user: str, run_as: str, command: str, *, tty: str = "pts/0"
) -> bytes:
    """A command by another's right."""
    return syslog(
        at, host, "sudo",
        f"{user} : TTY={tty} ; PWD=/home/{user} ; USER={run_as} ; COMMAND={command}",
        facility=_AUTHPRIV, severity=5,
    )  # fmt: skip


def sudo_refused(at: datetime, host: str, user: str, run_as: str, command: str) -> bytes:
    """A command that the sudoers file does not allow."""
    return syslog(
        at, host, "sudo",
        f"{user} : command not allowed ; TTY=pts/1 ; PWD=/home/{user} ; USER={run_as} ; COMMAND={command}",
        facility=_AUTHPRIV, severity=1,
    )  # fmt: skip


def noise(
    source: cast.DrillSource, rng: Random, times: list[datetime]
) -> Iterator[tuple[datetime, bytes]]:
    """Cron, administrators by key with their chores, a mistyped password."""
    host = source.host
    for at in times:
        pid, kind = rng.randrange(900, 60_000), rng.random()
        admin = rng.choice(_ADMINS)
        desk = cast.inside(source, 0, 30 + _ADMINS.index(admin))
        port = rng.randrange(32768, 61000)
        if kind < 0.5:
            what = rng.choice(("opened for user root(uid=0) by (uid=0)", "closed for user root"))
            yield (
                at,
                syslog(
                    at,
                    host,
                    f"CRON[{pid}]",
                    f"pam_unix(cron:session): session {what}",
                    facility=_AUTHPRIV,
                ),
            )
        elif kind < 0.72:
            print_ = (
                base64.b64encode(f"{admin}@{host}".encode().ljust(32, b".")[:32])
                .decode()
                .rstrip("=")
            )
            yield at, sshd(
                at, host, pid,
                f"Accepted publickey for {admin} from {desk} port {port} ssh2: ED25519 SHA256:{print_}",
            )  # fmt: skip
        elif kind < 0.80:
            yield at, failed(at, host, pid, admin, desk, port)
        elif kind < 0.92:
            yield (
                at,
                sudo(at, host, admin, "root", rng.choice(_CHORES), tty=f"pts/{rng.randrange(4)}"),
            )
        else:
            yield at, syslog(
                at, host, "sudo", "pam_unix(sudo:session): session closed for user root",
                facility=_AUTHPRIV,
            )  # fmt: skip
