"""The whole body of a request, up to a size: what both the interface's fence and the console's guard ask first."""

from __future__ import annotations

from starlette.types import Receive


async def read_body(receive: Receive, most: int) -> bytes | None:
    """The body, or None as soon as it is larger."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > most:
            return None
        if not message.get("more_body", False):
            return body
