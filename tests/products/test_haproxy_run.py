"""A real HAProxy: a request let through, one that a rule denies, one without a server, and what is no HTTP."""

from __future__ import annotations

import http.server
import socket
import threading
from pathlib import Path

from support.real_run import events, free_port, program, running, said, seen

_CONF = """
global
  log {log} format rfc3164 local0
defaults
  log global
  mode http
  option httplog
  timeout connect 500
  timeout client 3s
  timeout server 3s
frontend gate
  bind 127.0.0.1:{port}
  acl closed path_beg /closed
  acl lost path_beg /lost
  http-request deny if closed
  use_backend nowhere if lost
  default_backend web
backend web
  server w1 127.0.0.1:{origin}
backend nowhere
"""


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: HAProxy's log is what counts."""


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: web.example\r\nConnection: close\r\n\r\n".encode()


def test_what_haproxy_writes_of_requests_is_read(tmp_path: Path) -> None:
    haproxy, port = program("haproxy", "haproxy"), free_port()
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    with socket.socket(type=socket.SOCK_DGRAM) as log:
        log.bind(("127.0.0.1", 0))
        log.settimeout(10)
        at = f"127.0.0.1:{log.getsockname()[1]}"
        config = tmp_path / "haproxy.cfg"
        config.write_text(_CONF.format(log=at, port=port, origin=origin.server_port))
        try:
            with running([haproxy, "-db", "-f", config], tmp_path / "said", port):
                for path in ("/?ho_ten=Tr%E1%BA%A7n", "/closed/x", "/lost"):
                    said("127.0.0.5", port, _get(path), end=True)
                said("127.0.0.9", port, b"\x16\x03\x01\x02\r\n\r\n", end=True)
                lines: list[str] = []
                while not any(line.count("127.0.0.9:") for line in lines):
                    lines.append(log.recv(4096).decode().rstrip())
        finally:
            origin.shutdown()
            origin.server_close()
    names = (
        "http.response.status_code",
        "source.ip",
        "url.path",
        "haproxy.backend_name",
        "event.action",
        "event.outcome",
    )
    assert seen(events("haproxy", lines), *names) >= {
        (200, "127.0.0.5", "/", "web", None, "success"),
        (403, "127.0.0.5", "/closed/x", "gate", "denied", "failure"),
        (503, "127.0.0.5", "/lost", "nowhere", "no-server", "failure"),
        (400, "127.0.0.9", None, "gate", "denied", "failure"),
    }
