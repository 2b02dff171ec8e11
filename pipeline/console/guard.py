"""The outermost layer: headers on every answer, a limit on every body, a check of where a POST came from.

In: any request. Out: the same request, or 413 (body too large), 415 (not a form), 403 (a form of
another site). Invariant: no answer leaves without the policy below (a download has a stricter one of its own),
error pages and static files too. The body of an upload is not read here: its page first asks who sends it.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.api.body import read_body

MAX_BODY: Final = 65_536
UPLOADS: Final = re.compile(r"/tickets/[^/]+/comment|/onboarding|/assets/preview")
"""Addresses whose forms may carry files."""
_FORM: Final = "application/x-www-form-urlencoded"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Guard:
    """ASGI middleware. `secure` (the console is reached by https) adds Strict-Transport-Security."""

    def __init__(self, app: ASGIApp, *, public_url: str = "") -> None:
        self.app = app
        self.secure = public_url.startswith("https:")
        self.public_host = urlsplit(public_url).netloc

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._dress(MutableHeaders(scope=message))
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refuse(scope["method"], scope["path"], headers)
        if refusal is not None:
            await refusal(scope, receive, send_guarded)
            return
        if scope["method"] == "POST" and _kind(headers) != _FORM:
            await self.app(scope, receive, send_guarded)
            return
        body = await read_body(receive, MAX_BODY) if scope["method"] not in ("GET", "HEAD") else b""
        if body is None:
            await PlainTextResponse("the form is too large", 413)(scope, receive, send_guarded)
            return
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if scope["method"] in ("GET", "HEAD") or sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send_guarded)

    def _dress(self, headers: MutableHeaders) -> None:
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        headers.setdefault("Cache-Control", "no-store")
        if self.secure:
            headers["Strict-Transport-Security"] = "max-age=31536000"

    def _refuse(self, method: str, path: str, headers: Headers) -> PlainTextResponse | None:
        if method in ("GET", "HEAD"):
            return None
        if method != "POST":
            return PlainTextResponse("GET and POST only", 405)
        kind = _kind(headers)
        if kind != _FORM and not (kind == "multipart/form-data" and UPLOADS.fullmatch(path)):
            return PlainTextResponse("forms only", 415)
        origin = headers.get("origin")
        if origin is not None:
            ours = {headers.get("host", ""), self.public_host} - {""}
            if urlsplit(origin).netloc not in ours:
                return PlainTextResponse("a form of another site", 403)
        elif headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return PlainTextResponse("a form of another site", 403)
        return None


def _kind(headers: Headers) -> str:
    return headers.get("content-type", _FORM).partition(";")[0].strip().lower()
