"""A real Postfix: a mail taken in and delivered, relaying refused, a sender refused, a stranger's HTTP."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.needs import missing
from support.real_run import events, free_port, is_open, lines, program, said, seen, wait

_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = mail.phuong.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.1/32
virtual_mailbox_domains = phuong.example
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = inline:{{{{an@phuong.example=an/}}}}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
smtpd_sender_restrictions = check_sender_access inline:{{{{spam.example=REJECT}}}}
smtpd_peername_lookup = no
alias_maps =
alias_database =
"""
_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


@pytest.fixture
def postfix() -> Iterator[tuple[Path, int]]:
    command, port = program("postfix", "postfix"), free_port()
    if os.geteuid():
        missing("root", "Postfix's master starts as root only")
    import pwd
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="thapcanh-run-"))
    folder.chmod(0o755)
    user = pwd.getpwnam("postfix")
    for name in ("queue", "data", "mail", "etc"):
        (folder / name).mkdir()
    for name in ("data", "mail"):
        shutil.chown(folder / name, user.pw_uid, user.pw_gid)
    (folder / "etc/main.cf").write_text(
        _MAIN.format(folder=folder, uid=user.pw_uid, gid=user.pw_gid)
    )
    (folder / "etc/master.cf").write_text(_MASTER.format(port=port))
    try:
        for word in ("check", "start"):
            ran = subprocess.run(
                [command, "-c", folder / "etc", word],
                capture_output=True,
                text=True,
                check=False,
                timeout=30,
            )
            assert ran.returncode == 0, ran.stdout + ran.stderr
        wait(lambda: is_open(port))
        yield folder, port
    finally:
        subprocess.run(
            [command, "-c", folder / "etc", "stop"], capture_output=True, check=False, timeout=30
        )
        shutil.rmtree(folder, ignore_errors=True)


def _mail(sender: str, receiver: str) -> tuple[bytes, ...]:
    return (
        b"",
        b"EHLO khach.example\r\n",
        f"MAIL FROM:<{sender}>\r\n".encode(),
        f"RCPT TO:<{receiver}>\r\n".encode(),
    )


def test_what_postfix_writes_of_mails_is_read(postfix: tuple[Path, int]) -> None:
    folder, port = postfix
    body = b"Subject: ho so\r\nMessage-ID: <1@ngoai.example>\r\n\r\nxin chao\r\n.\r\n"
    said(
        "127.0.0.5",
        port,
        *_mail("lan@ngoai.example", "an@phuong.example"),
        b"DATA\r\n",
        body,
        b"QUIT\r\n",
    )
    said("127.0.0.5", port, *_mail("lan@ngoai.example", "ai@noi-khac.example"), b"QUIT\r\n")
    said("127.0.0.5", port, *_mail("x@spam.example", "an@phuong.example"), b"QUIT\r\n")
    said("127.0.0.9", port, b"", b"GET / HTTP/1.1\r\n")
    log = lines(
        folder / "log", ": removed", "Relay access denied", "Sender address rejected", "non-SMTP"
    )
    found = events("postfix", log)
    names = ("event.action", "source.ip", "email.from.address", "email.to.address", "event.outcome")
    assert seen(found, *names) >= {
        ("accepted", "127.0.0.5", None, None, None),
        ("queued", None, "lan@ngoai.example", None, None),
        ("sent", None, None, "an@phuong.example", "success"),
        ("removed", None, None, None, None),
        ("rejected", "127.0.0.5", "lan@ngoai.example", "ai@noi-khac.example", "failure"),
        ("rejected", "127.0.0.5", "x@spam.example", "an@phuong.example", "failure"),
        ("protocol-abuse", "127.0.0.9", None, None, "failure"),
    }
    assert "1@ngoai.example" in {event.get("email.message_id") for event in found}
