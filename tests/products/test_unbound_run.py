"""A real Unbound: a name that it knows, one that is blocked, and one who may not ask."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from support.real_run import events, free_port, lines, program, running, seen

_CONF = """
server:
  interface: 127.0.0.1
  port: {port}
  do-daemonize: no
  access-control: 127.0.0.5/32 allow
  access-control: 127.0.0.9/32 refuse
  log-queries: yes
  log-replies: yes
  log-tag-queryreply: yes
  log-local-actions: yes
  logfile: {folder}/log
  use-syslog: no
  chroot: ""
  username: ""
  directory: {folder}
  pidfile: {folder}/pid
  auto-trust-anchor-file: ""
  module-config: "iterator"
  local-zone: "blocked.example." always_nxdomain
  local-zone: "phuong.example." static
  local-data: "www.phuong.example. A 192.0.2.10"
remote-control:
  control-enable: no
"""


def _ask(source: str, port: int, name: str) -> None:
    asked = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.bind((source, 0))
        one.settimeout(5)
        one.sendto(
            struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + asked + b"\0\0\1\0\1", ("127.0.0.1", port)
        )
        one.recv(1000)


def test_what_unbound_writes_of_queries_is_read(tmp_path: Path) -> None:
    unbound, port = program("unbound", "unbound"), free_port()
    (tmp_path / "unbound.conf").write_text(_CONF.format(folder=tmp_path, port=port))
    with running([unbound, "-d", "-c", tmp_path / "unbound.conf"], tmp_path / "said", port):
        _ask("127.0.0.5", port, "www.phuong.example")
        _ask("127.0.0.5", port, "c2.blocked.example")
        _ask("127.0.0.9", port, "www.phuong.example")
    log = lines(tmp_path / "log", "www.phuong.example. A IN NOERROR", "always_nxdomain", "REFUSED")
    names = ("event.action", "source.ip", "dns.question.name", "dns.response_code", "event.type")
    assert seen(events("unbound", log), *names) >= {
        ("query", "127.0.0.5", "www.phuong.example", None, "protocol,info"),
        ("reply", "127.0.0.5", "www.phuong.example", "NOERROR", "protocol,info"),
        ("answered-locally", "127.0.0.5", "c2.blocked.example", None, "protocol,denied"),
        ("reply", "127.0.0.5", "c2.blocked.example", "NXDOMAIN", "protocol,info"),
        ("reply", "127.0.0.9", None, "REFUSED", "protocol,info"),
    }
