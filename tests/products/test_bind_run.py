"""A real BIND: queries over UDP and TCP, and a name that it may not look up for a stranger."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from support.real_run import events, free_port, lines, program, running, said, seen

_CONF = """
options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file none;
  session-keyfile "{folder}/session"; managed-keys-directory "{folder}"; dnssec-validation no; recursion yes; querylog yes;
  allow-recursion {{ 127.0.0.1; }}; allow-transfer {{ none; }}; forward only; forwarders {{ 127.0.0.9 port 9; }}; }};
controls {{ }};
logging {{ channel file {{ file "{folder}/log"; print-time yes; print-category yes; print-severity yes; }};
  category default {{ file; }}; category queries {{ file; }}; category security {{ file; }}; }};
zone "phuong.example" {{ type master; file "{folder}/zone"; }};
"""
_ZONE = (
    "$TTL 60\n@ IN SOA ns hostmaster 1 60 60 60 60\n@ NS ns\nns A 192.0.2.10\nwww A 192.0.2.10\n"
)


def _query(name: str, kind: int) -> bytes:
    asked = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part)
    return struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + asked + b"\0" + struct.pack(">2H", kind, 1)


def _ask(source: str, port: int, query: bytes) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.bind((source, 0))
        one.settimeout(5)
        one.sendto(query, ("127.0.0.1", port))
        one.recv(1000)


def test_what_bind_writes_of_queries_is_read(tmp_path: Path) -> None:
    named, port = program("named", "bind9"), free_port()
    (tmp_path / "zone").write_text(_ZONE)
    (tmp_path / "named.conf").write_text(_CONF.format(folder=tmp_path, port=port))
    with running([named, "-f", "-n", "1", "-c", tmp_path / "named.conf"], tmp_path / "said", port):
        _ask("127.0.0.5", port, _query("www.phuong.example", 1))
        _ask("127.0.0.9", port, _query("www.elsewhere.example", 28))
        transfer = _query("phuong.example", 252)
        said("127.0.0.9", port, struct.pack(">H", len(transfer)) + transfer)
        log = lines(
            tmp_path / "log",
            "query: www.phuong.example",
            "AXFR/IN' denied",
            "www.elsewhere.example/AAAA/IN' denied",
        )
    names = (
        "dns.question.name",
        "dns.question.type",
        "event.action",
        "source.ip",
        "event.outcome",
        "event.type",
    )
    assert seen(events("bind", log), *names) >= {
        ("www.phuong.example", "A", "query", "127.0.0.5", None, "protocol,info"),
        ("www.elsewhere.example", "AAAA", "query", "127.0.0.9", "failure", "protocol,denied"),
        ("phuong.example", "AXFR", "query", "127.0.0.9", None, "protocol,info"),
        ("phuong.example", "AXFR", "zone transfer", "127.0.0.9", "failure", "protocol,denied"),
    }
