"""Real sockets to real receivers: HTTP with a key, syslog from the source's own loopback address.

An HTTP request is tried until it is acknowledged, refused for good, or the drill is stopped. Refused
connections, 429 and 5xx wait as long as they are told, else longer and longer; so does 401 for a
while, for receivers read the register every few seconds. Syslog carries noise alone: what a dead
receiver loses of it changes no ticket.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.model.errors import ForbiddenError, RefusedError, ServiceAwayError
from pipeline.rehearsal import cast
from pipeline.rehearsal.lines import Line
from pipeline.rehearsal.plan import Request

if TYPE_CHECKING:
    import requests

FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0
PATIENCE_WITH_401 = 20
ANSWER_WITHIN = 30.0
_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})


class StoppedError(Exception):
    """The drill was told to stop while it waited."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Where the receivers listen, and each source's key as ``id:secret``."""

    http: str
    keys: Mapping[str, str] = field(repr=False)
    syslog_host: str = "127.0.0.1"
    udp_port: int = 0
    tcp_port: int = 0


class HttpSender:
    """One keep-alive session for all sources."""

    def __init__(self, targets: Targets, stop: threading.Event) -> None:
        import requests

        self._targets, self._stop = targets, stop
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the environment is not for 127.0.0.1

    def send(self, request: Request) -> None:
        """Returns when the receiver has acknowledged. Raises StoppedError, ForbiddenError, RefusedError."""
        import requests

        wait, unknown = FIRST_WAIT, 0
        while True:
            told = 0.0
            try:
                answer = self._post(request)
            except (requests.ConnectionError, requests.Timeout):
                pass  # nobody listens, or it died before it answered: the same request again
            else:
                if answer.status_code == 200:
                    return _check(request, answer)
                unknown += answer.status_code == 401
                if answer.status_code not in _TRY_AGAIN and not 0 < unknown < PATIENCE_WITH_401:
                    raise _refusal(request, answer)
                with contextlib.suppress(ValueError):
                    told = float(answer.headers.get("Retry-After", "0"))
            if self._stop.wait(min(max(wait, told), LONGEST_WAIT)):
                raise StoppedError
            wait = min(wait * 1.6, LONGEST_WAIT)

    def _post(self, request: Request) -> requests.Response:
        key = base64.b64encode(self._targets.keys[request.source].encode()).decode()
        kind = "application/x-ndjson" if request.bulk else "text/plain; charset=utf-8"
        return self._session.post(
            self._targets.http.rstrip("/") + request.path,
            data=request.body,
            headers={"Authorization": f"ApiKey {key}", "Content-Type": kind},
            timeout=ANSWER_WITHIN,
        )

    def close(self) -> None:
        self._session.close()


def _check(request: Request, answer: requests.Response) -> None:
    body = answer.json()
    if request.bulk and body.get("errors"):
        raise RefusedError(
            "the receiver refused documents", where=request.source, got=answer.text[:300]
        )
    if not request.bulk and body.get("accepted") != request.lines:
        raise RefusedError(
            "the receiver took another number of lines", where=request.source,
            got=str(body.get("accepted")), expected=str(request.lines),
        )  # fmt: skip


def _refusal(request: Request, answer: requests.Response) -> Exception:
    kind = ForbiddenError if answer.status_code in {401, 403} else RefusedError
    return kind(
        f"the receiver answered {answer.status_code}", where=request.source, got=answer.text[:300],
        remedy="thapcanh rehearse --clean makes new keys",
    )  # fmt: skip


class SyslogSender:
    """Datagrams and newline-framed TCP, each source from its own address."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._sockets: dict[str, socket.socket] = {}
        self.lost = 0

    def send(self, line: Line) -> None:
        """Best effort: a line that nobody takes is counted, not kept."""
        source = cast.SOURCE[line.source]
        for _ in range(2):  # a connection that broke since the last line is made anew, once
            try:
                connected = self._sockets.get(source.id) or self._connect(source)
                if source.syslog == "udp":
                    connected.send(line.body)
                else:
                    connected.sendall(line.body + b"\n")
            except OSError:
                self._drop(source.id)
            else:
                return
        self.lost += 1

    def _connect(self, source: cast.DrillSource) -> socket.socket:
        udp = source.syslog == "udp"
        fresh = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        try:
            fresh.settimeout(2.0)
            fresh.bind((source.address, 0))
            port = self._targets.udp_port if udp else self._targets.tcp_port
            fresh.connect((self._targets.syslog_host, port))
        except OSError:
            fresh.close()
            raise
        self._sockets[source.id] = fresh
        return fresh

    def _drop(self, source: str) -> None:
        broken = self._sockets.pop(source, None)
        if broken is not None:
            broken.close()

    def close(self) -> None:
        for source in list(self._sockets):
            self._drop(source)


def wait_for_receiver(targets: Targets, stop: threading.Event, seconds: float) -> None:
    """Returns when the HTTP receiver knows the drill's keys: the syslog receivers beside it share its
    copy of the register, and would turn away senders that it does not know yet. ServiceAwayError after
    `seconds`."""
    import requests

    key = base64.b64encode(next(iter(targets.keys.values()), "").encode()).decode()
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(max(1, int(seconds / FIRST_WAIT))):
            with contextlib.suppress(requests.ConnectionError, requests.Timeout):
                asked = {"Authorization": f"ApiKey {key}"}
                answer = session.get(targets.http, headers=asked, timeout=ANSWER_WITHIN)
                if answer.status_code != 401:
                    return
            if stop.wait(FIRST_WAIT):
                raise StoppedError
    raise ServiceAwayError(
        "no receiver takes the drill's keys",
        where=targets.http,
        remedy="start the system: thapcanh serve",
    )
