"""A server that stands for an outside system and misbehaves as it is told.

It does the deeds of a `Fake` in memory; the next deeds meet its `moods` in turn: what goes wrong, and whether the
deed was done before. Questions (look-ups) meet none, unless `asked` names one.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

AFTER = ("timeout_after", "500_after", "half_after", "html_after", "redirect_after")
BEFORE = ("429", "html", "500", "redirect", "other_system", "401")
REFUSALS = ("403", "404", "409")
TIMEOUT = 0.25


class Fake(Protocol):
    tickets: list[dict[str, Any]]

    def answer(
        self, method: str, path: str, query: dict[str, str], body: Any
    ) -> tuple[int, Any]: ...

    def is_question(self, method: str, path: str) -> bool: ...


class Server:
    """`seen` are the requests as (method, path); `strangers` those that came by another host's name."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.moods: list[str] = []
        self.asked: list[str] = []
        self.seen: list[tuple[str, str]] = []
        self.bodies: list[tuple[dict[str, str], bytes]] = []
        self.elsewhere: list[str] = []
        self.url = ""
        self.other = ""
        self._lock = threading.Lock()

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        if parts.path.startswith("/elsewhere"):
            self.elsewhere.append(handler.path)
        raw = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        method = handler.command
        with self._lock:
            self.seen.append((method, parts.path))
            self.bodies.append((dict(handler.headers), raw))
            question = self.fake.is_question(method, parts.path)
            moods = self.asked if question else self.moods
            mood = moods.pop(0) if moods else ""
            status, said = 200, None
            if mood in ("", *AFTER):
                query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                body = json.loads(raw) if raw else None
                status, said = self.fake.answer(method, parts.path, query, body)
        self._speak(handler, mood, status, said)

    def _speak(self, handler: BaseHTTPRequestHandler, mood: str, status: int, said: Any) -> None:
        text = b"" if said is None else json.dumps(said).encode()
        kind, headers = "application/json", {}
        if mood == "timeout_after":
            time.sleep(TIMEOUT * 2)
        elif mood in ("500", "500_after"):
            status, text = 500, b'{"message": "internal error"}'
        elif mood in ("html", "html_after"):
            status, kind, text = 200, "text/html", b"<!doctype html><title>Sign in</title>"
        elif mood == "other_system":
            status, text = 200, b'{"tagline": "You Know, for Search"}'
        elif mood == "429":
            status, headers, text = 429, {"Retry-After": "7"}, b"{}"
        elif mood == "401":
            status, text = 401, json.dumps({"you": handler.headers.get("Authorization")}).encode()
        elif mood in REFUSALS:
            status, text = int(mood), b'{"message": "not this one"}'
        elif mood in ("redirect", "redirect_after"):
            status, headers, text = 302, {"Location": f"{self.other}/elsewhere"}, b""
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        for name, value in headers.items():
            handler.send_header(name, value)
        length = len(text) + (50 if mood == "half_after" else 0)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(text[: len(text) // 2] if mood == "half_after" else text)
        handler.close_connection = True


@contextmanager
def misbehaving(fake: Fake) -> Iterator[Server]:
    server = Server(fake)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                server.handle(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # who asked has given up

        do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815 - the names of the library

        def log_message(self, *_: object) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    thread = threading.Thread(
        target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    port = listener.server_address[1]
    server.url, server.other = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
