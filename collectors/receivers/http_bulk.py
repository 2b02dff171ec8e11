"""HTTP: Elasticsearch's ``_bulk``, and plain ``POST /ingest/{source}``. Delivery: acknowledged.

In: requests with a source's API key (`keys`). Out: a record per document or line. The answer goes out
after the spool's fsync. A request is in the spool wholly or not at all; the same request again (same key,
path and decompressed body within ten minutes, also across a kill) is answered as before and not stored
again. No room: 429 with Retry-After; a failing disk or a stopping collector: 503 with Retry-After.

::

    curl -H "Authorization: ApiKey $KEY" --data-binary @auth.log http://127.0.0.1:9700/ingest/q1-web-01
    {"source":"q1-web-01","accepted":812}
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from typing import Any, ClassVar
from urllib.parse import parse_qs

import uvicorn

from collectors.formats.text import lines_of, newline_of
from collectors.receivers import bulk, handshakes, http_body, keys, proxy_protocol, starts
from collectors.receivers.base import Delivery, cannot_listen, tls_context
from collectors.receivers.directory import SourceIdentity
from collectors.receivers.http_connection import Doors, behind_a_proxy, protocol_of
from collectors.receivers.intake import Intake, now
from collectors.receivers.proxied import ProxiedServer
from collectors.spool import Draft, SpoolFullError, SpoolIOError
from pipeline.model.errors import ForbiddenError, ThapCanhError, UsageError
from pipeline.settings.values import Listener

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_BULK = re.compile(r"/(?:([^/]+)/)?(?:_doc/)?_bulk/?")
_INGEST = re.compile(r"/ingest/([^/]+)/?")
_RETRY_AFTER = b"5"


class UnknownKeyError(UsageError):
    http_status = 401


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the collector's business."""
        yield


class HttpBulk:
    delivery: ClassVar[Delivery] = Delivery.ACKNOWLEDGED

    def __init__(self, listener: Listener, intake: Intake) -> None:
        self._listener, self._intake = listener, intake
        self.port = listener.port
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._proxied: ProxiedServer | None = None
        self._unpacking: dict[str, asyncio.Lock] = {}

    @property
    def name(self) -> str:
        return self._listener.name

    async def start(self) -> None:
        tally = self._intake.counters.of(self.name)
        doors = Doors(self._intake.limits.connections_per_source, tally.note)
        tls = tls_context(self._listener)  # told before uvicorn reads the same files in its own way
        config = uvicorn.Config(
            self._app, log_config=None, access_log=False, lifespan="off",
            interface="asgi3", ws="none", http=protocol_of(doors),
            server_header=False, date_header=False, proxy_headers=False, timeout_keep_alive=75,
            limit_concurrency=self._intake.limits.connections, h11_max_incomplete_event_size=65536,
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        config.load()
        config.ssl = tls
        bound = self._bind()
        self.port = bound.getsockname()[1]
        self._server = _Server(config)
        proxies = proxy_protocol.networks(self._listener.proxies, f"collect.listeners {self.name}")
        self._serving = asyncio.create_task(self._server.serve(sockets=[] if proxies else [bound]))
        while not self._server.started and not self._serving.done():  # noqa: ASYNC110 - uvicorn tells by no event
            await asyncio.sleep(0.005)
        if proxies:
            make = behind_a_proxy(config, self._server.server_state)
            self._proxied = ProxiedServer(bound, proxies, make, tally.note, tls)

    async def stop(self, grace: float) -> None:
        if self._server is None or self._serving is None:
            return
        if self._proxied is not None:
            self._proxied.close()
        self._server.should_exit = True
        await asyncio.wait({self._serving}, timeout=grace)
        if not self._serving.done():
            self._server.force_exit = True
            await asyncio.wait({self._serving}, timeout=0.2)

    def sweep(self) -> None:
        return

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._listener.address else socket.AF_INET
        # asyncio turns Nagle's delay off only where the socket names its protocol; with it on, an
        # answer (head and body are two writes) waits 40 ms for the client's acknowledgement.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self._listener.address, self._listener.port))
            bound.listen(512)  # now, so that a port in use is found here
        except OSError as error:
            bound.close()
            raise cannot_listen(self._listener, error) from error
        return bound

    async def _app(
        self, scope: MutableMapping[str, Any], receive: http_body.Receive, send: Send
    ) -> None:
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        whole, identity = False, None

        async def receive_once() -> MutableMapping[str, Any]:
            nonlocal whole
            message = await receive()
            whole = not message.get("more_body", False)
            return message

        try:
            identity = await self._identify(scope, headers)
            status, body = await self._route(scope, headers, receive_once, identity)
        except http_body.BodyGoneError:
            return
        except ThapCanhError as error:
            if identity and isinstance(error, http_body.REFUSED):
                self._intake.counters.of(self.name, identity.source).note("body_refused")
            if isinstance(error, UnknownKeyError):
                await asyncio.sleep(0.05)  # a wrong key costs the guesser a moment
            if not whole:
                await _drain(receive_once, error)
            status, body = error.http_status, _error_body(error)
        await _respond(send, status, body, headers, head=scope["method"] == "HEAD")

    async def _identify(
        self, scope: MutableMapping[str, Any], headers: dict[bytes, bytes]
    ) -> SourceIdentity:
        given = keys.from_header(headers.get(b"authorization", b"").decode("latin-1"))
        identity = await self._intake.by_key(*given) if given else None
        if identity is None:
            length = headers.get(b"content-length", b"")
            size = min(int(length[:15]), 1 << 30) if length.isdigit() else 0
            self._intake.knock(self.name, _peer(scope), size, "key")
            raise UnknownKeyError(
                "the API key is missing, unknown, expired or revoked",
                where="Authorization",
                expected="ApiKey base64(id:key)",
                remedy="Ask the security centre for a key of this source",
            )
        return identity

    async def _route(
        self,
        scope: MutableMapping[str, Any],
        headers: dict[bytes, bytes],
        receive: http_body.Receive,
        identity: SourceIdentity,
    ) -> tuple[int, bytes]:
        method, path = scope["method"], scope["path"]
        if method in {"POST", "PUT"}:
            if match := _BULK.fullmatch(path):
                query = parse_qs(scope["query_string"].decode("latin-1"))
                filter_path = ",".join(query.get("filter_path", []))
                async with self._body(receive, headers, identity) as body:
                    return await self._bulk(body, match[1] or "logs", filter_path, scope, identity)
            if match := _INGEST.fullmatch(path):
                if match[1] != identity.source:
                    raise ForbiddenError("this key is another source's", where=path)
                async with self._body(receive, headers, identity) as body:
                    return await self._ingest(body, scope, identity)
        known = handshakes.answer(method, path)
        if known is not None:
            async with self._body(receive, headers, identity):
                return known
        return 404, _error_body(UsageError("nothing is served here", where=f"{method} {path}"), 404)

    @contextlib.asynccontextmanager
    async def _body(
        self, receive: http_body.Receive, headers: dict[bytes, bytes], identity: SourceIdentity
    ) -> AsyncIterator[bytes]:
        """In memory of its source while it is there; unpacked one at a time for each source."""
        limit, source, held = self._intake.limits.body, identity.source, 0

        def took(size: int) -> None:
            nonlocal held
            if self._intake.bodies.room(source) < size:
                self._intake.counters.of(self.name, source).note("bodies_in_hand")
                raise SpoolFullError("too many requests in hand", remedy="Try again")
            self._intake.bodies.take(source, size)
            held += size

        if self._intake.stopping:
            raise SpoolIOError("the collector is stopping", remedy="Try again")
        try:
            raw = await http_body.read(receive, limit, took)
            encoding = headers.get(b"content-encoding", b"").decode("latin-1")
            if encoding and len(raw) > 65536:
                async with self._unpacking.setdefault(source, asyncio.Lock()):
                    body = await asyncio.to_thread(http_body.decompress, raw, encoding, limit)
            else:
                body = http_body.decompress(raw, encoding, limit)
            if body is not raw:
                took(len(body))
            yield body
        finally:
            if held:
                self._intake.bodies.give_back(source, held)

    async def _bulk(
        self,
        body: bytes,
        index: str,
        filter_path: str,
        scope: MutableMapping[str, Any],
        identity: SourceIdentity,
    ) -> tuple[int, bytes]:
        began = time.monotonic()
        request = _request_hash(identity.source, scope["path"], body)
        parsed = bulk.parse(body, index, self._intake.limits.record)
        moment, peer = now(), _peer(scope)
        drafts = [
            Draft(
                identity.source,
                moment,
                document,
                (b"_id:" + ident.encode()) if ident else b"",
                peer,
            )
            for document, ident in parsed.documents
        ]
        refused = len(parsed.items) - len(drafts)
        await self._store(identity, drafts, request, refused, len(body))
        took = int((time.monotonic() - began) * 1000)
        return 200, bulk.answer(parsed, request, took, filter_path)

    async def _ingest(
        self, body: bytes, scope: MutableMapping[str, Any], identity: SourceIdentity
    ) -> tuple[int, bytes]:
        request = _request_hash(identity.source, scope["path"], body)
        limit, moment, peer = self._intake.limits.record, now(), _peer(scope)
        lines = lines_of(body, identity.encoding)
        lines = _assembled(lines, identity, limit)
        cut = sum(len(line) > limit for line in lines)
        if cut:
            self._intake.counters.of(self.name, identity.source).note("cut", cut)
        drafts = [Draft(identity.source, moment, line[:limit], peer=peer) for line in lines]
        await self._store(identity, drafts, request, 0, len(body))
        return 200, json.dumps({"source": identity.source, "accepted": len(drafts)}).encode()

    async def _store(
        self, identity: SourceIdentity, drafts: list[Draft], request: bytes, refused: int, size: int
    ) -> None:
        """Counted as received when it is settled: what is pushed back stays with its sender."""
        tally = self._intake.counters.of(self.name, identity.source)
        repeated = False
        if drafts:
            if self._intake.rates.owes(identity.source, time.monotonic()) > 0:
                tally.note("rate_limited")
                raise SpoolFullError("this source sends too fast", remedy="Try again later")
            try:
                receipt = await self._intake.store(self.name, identity.source, drafts, request)
            except ThapCanhError:
                tally.note("pushed_back")
                raise
            repeated = receipt.repeated
        if repeated:
            return
        self._intake.rates.take(identity.source, len(drafts), time.monotonic())
        tally.take(len(drafts) + refused, size, now())
        tally.acknowledged += len(drafts)
        if refused:
            tally.drop("refused_item", refused)


async def _drain(receive: http_body.Receive, error: ThapCanhError) -> None:
    """Read a little of what is refused, and keep nothing, so that the sender gets to reading the answer."""
    if isinstance(error, http_body.BodyTooSlowError):
        return
    left = 8 << 20
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b"")) if message.get("more_body") else left


def _assembled(lines: list[bytes], identity: SourceIdentity, limit: int) -> list[bytes]:
    """Of a source whose records are of several lines: those of one request, and no further."""
    chosen = starts.wanted(identity.assemble, identity.product)
    if not chosen:
        return lines
    made = starts.assembler(chosen, seconds=1.0, size=limit, join=newline_of(identity.encoding))
    found = [one.body for line in lines for one in made.feed(line, 0, 0.0)]
    return found + [one.body for one in made.flush()]


def _request_hash(source: str, path: str, body: bytes) -> bytes:
    """16 bytes that name a request: the same source, path and body within minutes is a resend."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (source.encode(), path.encode("utf-8", "surrogatepass")):
        digest.update(len(part).to_bytes(4, "big") + part)
    digest.update(body)
    return digest.digest()


def _peer(scope: MutableMapping[str, Any]) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _error_body(error: ThapCanhError, status: int = 0) -> bytes:
    """In Elasticsearch's shape, which its clients print."""
    kind = "security_exception" if error.http_status in {401, 403} else "illegal_argument_exception"
    cause = {"type": kind, "reason": str(error)}
    return json.dumps(
        {"error": {"root_cause": [cause], **cause}, "status": status or error.http_status}
    ).encode()


async def _respond(
    send: Send, status: int, body: bytes, asked: dict[bytes, bytes], *, head: bool
) -> None:
    accept = asked.get(b"accept", b"")
    vendor = accept.startswith(b"application/vnd.elasticsearch+json")
    headers = [
        (b"content-type", accept.split(b",")[0] if vendor else b"application/json"),
        (b"content-length", str(len(body)).encode()),
        handshakes.PRODUCT_HEADER,
    ]
    if status in {429, 503}:
        headers.append((b"retry-after", _RETRY_AFTER))
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="thapcanh", ApiKey'))
    if status in {
        401,
        408,
        413,
        429,
        503,
    }:  # the body may be unread: the connection is not to be reused
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})
