"""The body of an HTTP request, read and decompressed under limits.

In: ASGI's `receive`, the ``Content-Encoding``. Out: the bytes, or an error that says which limit.
A body may come no slower than a part in `PART_WITHIN` seconds and `WHOLE_WITHIN` in all, and
decompresses to `limit` bytes at most, whatever it claims to be.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar, Final

from pipeline.model.errors import ThapCanhError, UsageError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
PART_WITHIN: Final = 30.0
WHOLE_WITHIN: Final = 120.0


class BodyTooLargeError(UsageError):
    http_status: ClassVar[int] = 413


class BodyTooSlowError(UsageError):
    http_status: ClassVar[int] = 408


class BodyGoneError(ThapCanhError):
    """The sender went away in the middle: nothing is stored, nobody is answered."""


REFUSED: Final = (BodyTooLargeError, BodyTooSlowError)


async def read(receive: Receive, limit: int, took: Callable[[int], object] = int) -> bytes:
    """The body as it was sent, `limit` bytes at most. `took` is told of each part's size, and may refuse it."""
    parts: list[bytes] = []
    size = 0
    clock = asyncio.get_running_loop().time
    until = clock() + WHOLE_WITHIN
    try:
        async with asyncio.timeout(PART_WITHIN) as limit_of_time:  # one timer, moved by each part
            more = True
            while more:
                message = await receive()
                limit_of_time.reschedule(min(clock() + PART_WITHIN, until))
                if message["type"] == "http.disconnect":
                    raise BodyGoneError("the sender went away in the middle of a request")
                part = message.get("body", b"")
                size += len(part)
                if size > limit:
                    raise too_large(limit)
                took(len(part))
                parts.append(part)
                more = message.get("more_body", False)
    except TimeoutError as error:
        raise BodyTooSlowError("the body came too slowly", got=f"{size} bytes") from error
    return b"".join(parts)


def too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(
        "the body is too large", expected=f"at most {limit} bytes", remedy="Send smaller bulks"
    )


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo ``gzip``, ``deflate`` or ``zstd``; ``identity`` and nothing leave the body as it is."""
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return body
    if encoding in {"gzip", "x-gzip", "deflate"}:
        return _inflate(body, limit)
    if encoding == "zstd":
        return _zstd(body, limit)
    raise UsageError(
        "the Content-Encoding is not known",
        got=encoding,
        expected="gzip, deflate, zstd or identity",
    )


def _inflate(body: bytes, limit: int) -> bytes:
    out = []
    size = 0
    try:
        while body:
            inflater = zlib.decompressobj(wbits=47)  # 32 + 15: gzip or zlib, as the first bytes say
            part = inflater.decompress(body, limit + 1 - size)
            size += len(part)
            if size > limit:
                raise too_large(limit)
            if not inflater.eof:
                raise UsageError("the compressed body ends too early")
            out.append(part)
            body = inflater.unused_data
    except zlib.error as error:
        raise UsageError(
            "the body is not what its Content-Encoding says", got=str(error)
        ) from error
    return b"".join(out)


def _zstd(body: bytes, limit: int) -> bytes:
    import zstandard

    try:
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
            body, read_across_frames=True
        )
        out = reader.read(limit + 1)
    except zstandard.ZstdError as error:
        raise UsageError(
            "the body is not what its Content-Encoding says", got=str(error)
        ) from error
    if len(out) > limit:
        raise too_large(limit)
    return bytes(out)
