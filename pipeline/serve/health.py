"""``GET /health`` of the supervisor: 200 ``{"status": "ok"}``, or 503 naming the role and the reason; and
``GET /metrics`` (`metrics.py`).

It asks nothing of the roles themselves, so it answers when they do not.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pipeline.model.errors import UsageError
from pipeline.serve.metrics import CONTENT_TYPE
from pipeline.serve.pulse import RoleHealth


@contextmanager
def health_endpoint(
    address: str,
    port: int,
    troubles: Callable[[], list[RoleHealth]],
    metrics: Callable[[], str] | None = None,
) -> Iterator[int]:
    """Serve until left; yields the port (a free one when 0 is asked for). Raises UsageError when it cannot be bound."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics" and metrics is not None:
                self._answer(200, CONTENT_TYPE, metrics().encode())
                return
            if path != "/health":
                self.send_error(404)
                return
            found = [{"role": t.role, "node": t.node, "reason": t.reason} for t in troubles()]
            body = json.dumps({"status": "stuck" if found else "ok", "troubles": found}).encode()
            self._answer(503 if found else 200, "application/json", body)

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Probes are many and say nothing."""

    try:
        server = ThreadingHTTPServer((address, port), Handler)
    except OSError as error:
        raise UsageError(
            "the port of /health and /metrics cannot be listened on", where="serve.health_port",
            got=f"{address}:{port}: {error.strerror}", remedy="Change the setting, or stop what uses it (ss -lntp)",
        ) from error  # fmt: skip
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
