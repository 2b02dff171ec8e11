"""An API to be polled, which says what a test wants, and a poller that keeps what it stores."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from collectors.receivers import poll_client
from collectors.receivers.base import Limits
from collectors.receivers.directory import FixedDirectory, SourceIdentity
from collectors.receivers.intake import Intake
from collectors.receivers.poll_client import PollClient
from collectors.receivers.rest_poll import RestPoll
from collectors.spool import Draft, Receipt
from pipeline.settings.values import CollectSettings, FileInput

API = SourceIdentity("q1-api", "q1", "microsoft_365")
Answer = tuple[int, dict[str, str], Any]
Say = Callable[[str, str, dict[str, str], dict[str, str]], Answer]


class Api:
    """A server that answers what `say` makes of (method, path, query, headers), and keeps what was asked."""

    def __init__(self) -> None:
        self.say: Say = lambda *_: (404, {}, {})
        self.asked: list[str] = []

    def serve(self) -> Iterator[Api]:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _answer(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                query = {k: v[0] for k, v in parse_qs(parts.query).items()}
                query |= {k: v[0] for k, v in parse_qs(self.rfile.read(length).decode()).items()}
                outer.asked.append(f"{self.command} {self.path}")
                status, headers, body = outer.say(
                    self.command, parts.path, query, dict(self.headers)
                )
                self.send_response(status)
                if callable(body):  # it writes by itself
                    self.end_headers()
                    with contextlib.suppress(OSError):
                        body(self.wfile)
                    return
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = _answer  # noqa: N815 - http.server's names

            def log_message(self, *_: Any) -> None: ...

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.host = f"127.0.0.1:{server.server_address[1]}"
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            yield self
            server.shutdown()


class Kept(RestPoll):
    """Stores into a list; dies where it is told to."""

    def __init__(self, folder: Path, description: dict[str, Any]) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "poll.yml").write_text(yaml.safe_dump(description))
        given = FileInput(
            name="api", kind="rest_poll", source="q1-api", paths=(str(folder / "poll.yml"),)
        )
        intake = Intake(None, FixedDirectory(files=[API]), Limits())  # type: ignore[arg-type]
        super().__init__(given, intake, CollectSettings(), folder)
        self.kept: list[Draft] = []
        self.dies_before_moving = 0
        self.check()

    def store(self, drafts: Any, cut: int = 0) -> Receipt:
        self.kept += drafts
        return Receipt(1, len(drafts))

    def _move(self, place: dict[str, Any]) -> None:
        self.dies_before_moving -= 1
        if self.dies_before_moving == 0:
            raise OSError("killed here")
        super()._move(place)

    def turn(self) -> list[Any]:
        """What a turn stored."""
        before = len(self.kept)
        self.work(API, 0)
        return [json.loads(draft.body) for draft in self.kept[before:]]


def without_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses are noted and not made."""
    pauses: list[float] = []
    monkeypatch.setattr(poll_client.random, "uniform", lambda *_: 1.0)
    begun = PollClient.__init__

    def at_once(self: PollClient, description: Any, where: str, wait: Any) -> None:
        begun(self, description, where, lambda seconds: not pauses.append(seconds))  # type: ignore[func-returns-value]

    monkeypatch.setattr(PollClient, "__init__", at_once)
    return pauses


EVENTS = [{"id": f"e{n}", "at": f"2026-11-24T09:00:{n:02d}Z", "n": n} for n in range(7)]


def by_token(api: Api) -> dict[str, Any]:
    """Three events a page, newest last, only those after ``since``."""

    def say(method: str, path: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
        wanted = [e for e in EVENTS if e["at"] >= query.get("since", "")]
        first = int(query.get("after", 0))
        more = {"next": str(first + 3)} if first + 3 < len(wanted) else {}
        return 200, {}, {"data": {"items": wanted[first : first + 3]}, **more}

    api.say = say
    return {
        "kind": "json", "hosts": [api.host], "url": f"http://{api.host}/events", "records": "data.items",
        "identity": "id", "page": {"kind": "token", "path": "next", "parameter": "after"},
        "cursor": {"kind": "value", "path": "at", "parameter": "since"},
    }  # fmt: skip
