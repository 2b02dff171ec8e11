"""A real Squid: a page fetched, the same from the cache, a tunnel and a site that are not allowed."""

from __future__ import annotations

import http.server
import threading

from support.real_run import events, folder_of, free_port, lines, program, running, said, seen

_CONF = """
http_port 127.0.0.1:{port}
acl guests src 127.0.0.9/32
acl closed dstdomain closed.example
acl http_ports port {origin}
http_access deny closed
http_access deny guests
http_access deny CONNECT !http_ports
http_access allow all
cache_mem 8 MB
access_log stdio:{folder}/access.log squid
cache_log {folder}/cache.log
cache_store_log none
pid_filename none
coredump_dir {folder}
pinger_enable off
netdb_filename none
shutdown_lifetime 0 seconds
strip_query_terms off
visible_hostname proxy.example
buffered_logs off
"""


_CLOSED = (
    b"GET http://closed.example/x.exe HTTP/1.1\r\nHost: closed.example\r\nConnection: close\r\n\r\n"
)


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        for name, value in (
            ("Cache-Control", "max-age=600"),
            ("Content-Type", "text/html"),
            ("Content-Length", "4"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"here")

    def log_message(self, *_: object) -> None:
        """Nothing: Squid's log is what counts."""


def test_what_squid_writes_of_requests_is_read() -> None:
    squid, port = program("squid", "squid"), free_port()
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    site = f"127.0.0.1:{origin.server_port}"
    try:
        with folder_of("proxy") as (folder, user):
            config = folder / "squid.conf"
            config.write_text(_CONF.format(folder=folder, port=port, origin=origin.server_port))
            with running(
                [squid, "-N", "-n", f"run{port}", "-f", config], folder / "said", port, user
            ):
                page = f"GET http://{site}/tra-cuu?q=1 HTTP/1.1\r\nHost: {site}\r\nConnection: close\r\n\r\n".encode()
                said("127.0.0.5", port, page, end=True)
                said("127.0.0.5", port, page, end=True)
                said("127.0.0.9", port, page, end=True)
                said("127.0.0.5", port, _CLOSED, end=True)
                said(
                    "127.0.0.5",
                    port,
                    b"CONNECT mail.example:25 HTTP/1.1\r\nHost: mail.example:25\r\n\r\n",
                )
                log = lines(
                    folder / "access.log",
                    "TCP_MISS/200",
                    "_HIT/200",
                    "TCP_DENIED",
                    "closed.example",
                    "CONNECT",
                )
    finally:
        origin.shutdown()
        origin.server_close()
    names = (
        "event.action",
        "source.ip",
        "http.response.status_code",
        "url.domain",
        "url.path",
        "destination.port",
        "event.outcome",
    )
    own = origin.server_port
    assert seen(events("squid", log), *names) >= {
        ("TCP_MISS", "127.0.0.5", 200, "127.0.0.1", "/tra-cuu", own, "success"),
        ("TCP_MEM_HIT", "127.0.0.5", 200, "127.0.0.1", "/tra-cuu", own, "success"),
        ("TCP_DENIED", "127.0.0.9", 403, "127.0.0.1", "/tra-cuu", own, "failure"),
        ("TCP_DENIED", "127.0.0.5", 403, "closed.example", "/x.exe", None, "failure"),
        ("TCP_DENIED", "127.0.0.5", 403, "mail.example", None, 25, "failure"),
    }
