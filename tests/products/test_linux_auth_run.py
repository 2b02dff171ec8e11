"""Real sshd, sudo and su through a real rsyslog: a wrong password, a key, a name that is not there, a command."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from support.needs import missing
from support.real_run import events, free_port, lines, program, seen

_RSYSLOG = """
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="/dev/log" HostName="skh-app01")
template(name="line" type="string" string="<%PRI%>%TIMESTAMP% %HOSTNAME% %syslogtag%%msg:::sp-if-no-1st-sp%%msg%\\n")
action(type="omfile" file="{folder}/log" template="line")
"""
_SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/key.pub
StrictModes no
UsePAM no
UseDNS no
PermitRootLogin yes
PasswordAuthentication yes
"""
# A log socket of its own: /dev is overlaid in this name space only.
_SCRIPT = r"""
set -eu
folder=$1 port=$2
mkdir "$folder/over"
mount -t tmpfs tmpfs "$folder/over"
mkdir "$folder/over/upper" "$folder/over/work"
mount -t overlay -o "lowerdir=/dev,upperdir=$folder/over/upper,workdir=$folder/over/work" overlay /dev
rsyslogd -f "$folder/rsyslog.conf" -i "$folder/rsyslog.pid"
for _ in $(seq 100); do [ -S /dev/log ] && break; sleep 0.05; done
mkdir -p /run/sshd
"$(command -v sshd)" -f "$folder/sshd.conf"
trap 'kill $(cat "$folder/sshd.pid" "$folder/rsyslog.pid")' EXIT
visit() {
  timeout 10 ssh -F none -p "$port" -b 127.0.0.5 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
    -o NumberOfPasswordPrompts=1 "$@" true </dev/null || true
}
export SSH_ASKPASS="$folder/ask" SSH_ASKPASS_REQUIRE=force
visit -o PreferredAuthentications=password root@127.0.0.1
visit -o PreferredAuthentications=password khong-co@127.0.0.1
visit -o PreferredAuthentications=publickey -i "$folder/key" root@127.0.0.1
sudo -u nobody /bin/true
echo wrong | setpriv --reuid=nobody --regid=nogroup --clear-groups sudo -S -p '' /bin/cat /etc/shadow || true
su -s /bin/sh -c true nobody
"""


def test_what_sshd_sudo_and_su_write_is_read(tmp_path: Path) -> None:
    for name, package in (
        ("rsyslogd", "rsyslog"), ("sshd", "openssh-server"), ("ssh", "openssh-client"), ("sudo", "sudo"),
    ):  # fmt: skip
        program(name, package)
    if os.geteuid():
        missing(
            "root",
            "sshd and sudo write to the system's log socket, which the test lays over its own",
        )
    port = free_port()
    for name in ("host", "key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True
        )
    (tmp_path / "rsyslog.conf").write_text(_RSYSLOG.format(folder=tmp_path))
    (tmp_path / "sshd.conf").write_text(_SSHD.format(folder=tmp_path, port=port))
    (tmp_path / "ask").write_text("#!/bin/sh\necho wrong\n")
    (tmp_path / "ask").chmod(0o700)
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    ran = subprocess.run(
        ["unshare", "-m", "bash", "-c", _SCRIPT, "bash", tmp_path, str(port)],
        env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    log = lines(
        tmp_path / "log",
        "Accepted publickey",
        "Invalid user",
        "COMMAND=/bin/true",
        "/etc/shadow",
        "(to nobody)",
    )
    found = events("linux_auth", [line for line in log if " rsyslogd: " not in line])
    names = ("event.action", "user.name", "source.ip", "event.outcome", "authentication.method")
    assert seen(found, *names) >= {
        ("ssh_login", "root", "127.0.0.5", "failure", "password"),
        ("ssh_login", "khong-co", "127.0.0.5", "failure", "password"),
        ("ssh_invalid_user", "khong-co", "127.0.0.5", "failure", None),
        ("ssh_login", "root", "127.0.0.5", "success", "publickey"),
    }
    names = (
        "event.action",
        "user.name",
        "user.effective.name",
        "process.command_line",
        "event.outcome",
    )
    assert seen(found, *names) >= {
        ("sudo_command", "root", "nobody", "/bin/true", "success"),
        ("sudo_command", "nobody", "root", "/bin/cat /etc/shadow", "failure"),
        ("su", "root", "nobody", None, "success"),
    }
    assert {event["host.name"] for event in found} == {"skh-app01"}
