"""The line to an HTTP mirror: one request, and what its failure means.

In: a request to a host on the allow list. Out: its JSON, or `Trouble` with the answer that follows:

    no connection, name or certificate      later, the mirror's trouble      nothing was sent
    429                                     later, after Retry-After
    401, 407                                later, the mirror's trouble      our credentials
    403, 404                                refused, in doubt                this deed alone, or all of them?
    400, 409, 413, 422 …                    refused (a mirror may know better)
    time-out, cut off, 5xx, 3xx             unknown                          it may have been done
    2xx that is no JSON, or too long        unknown, the mirror's trouble    another system answers

Redirects are never followed, proxies of the environment never used, an answer is read up to 4 MiB and up to a
deadline. No secret stands in a reason: what an answer repeats of them is struck out.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import NewConnectionError

from pipeline.model.clock import utc_now
from pipeline.model.errors import UsageError
from pipeline.model.odd_text import pictured
from pipeline.tickets.mirrors.base import Answer, Trouble, Verdict

LONGEST: Final = 4_194_304
WHY: Final = 300
_LONGEST_WAIT: Final = 3600.0
_OURS: Final = (401, 407)
_DOUBT: Final = (403, 404)


@dataclass(frozen=True)
class Line:
    """`base` is the address that paths begin at; `secrets` are struck out of reasons."""

    base: str
    hosts: Sequence[str]
    timeout: float = 15.0
    ca: str = ""
    proxy: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    auth: tuple[str, str] | None = None
    secrets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        allowed(self.base, self.hosts, ("http", "https"))

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        raw: bytes | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        empty: bool = False,
    ) -> Any:
        """The JSON of a 2xx answer. `empty`: an answer without a body will do."""
        session = requests.Session()
        session.trust_env = False
        if self.proxy:
            session.proxies = {"http": self.proxy, "https": self.proxy}
        data = json.dumps(body, ensure_ascii=False).encode() if body is not None else raw
        sent = {"Accept": "application/json", "User-Agent": "thapcanh"} | dict(self.headers)
        if self.auth:
            sent["Authorization"] = f"Basic {_basic(self.auth)}"
        if data is not None:
            sent["Content-Type"] = "application/json"
        sent |= dict(headers or {})
        with session:
            try:
                answer = session.request(
                    method, self.base.rstrip("/") + path, params=query, data=data, headers=sent,
                    timeout=(min(5.0, self.timeout), self.timeout), allow_redirects=False, stream=True,
                    verify=self.ca or True,
                )  # fmt: skip
                with answer:
                    content = self._read(answer)
            except (requests.ConnectTimeout, requests.exceptions.SSLError) as error:
                raise self._trouble(Verdict.LATER, f"not reached: {error}", whole=True) from error
            except requests.ConnectionError as error:
                if _never_sent(error):
                    raise self._trouble(
                        Verdict.LATER, f"not reached: {error}", whole=True
                    ) from error
                raise self._trouble(Verdict.UNKNOWN, f"cut off: {error}") from error
            except requests.RequestException as error:
                raise self._trouble(Verdict.UNKNOWN, f"no whole answer: {error}") from error
        return self._understood(answer, content, empty=empty)

    def _read(self, answer: requests.Response) -> bytes:
        """The body. A slow drip ends at the deadline, not with the sender's patience."""
        limit = time.monotonic() + self.timeout
        parts: list[bytes] = []
        size = 0
        for part in answer.iter_content(65_536):
            parts.append(part)
            size += len(part)
            if size > LONGEST:
                raise self._trouble(Verdict.UNKNOWN, "the answer is too long", whole=True)
            if time.monotonic() > limit:
                raise self._trouble(Verdict.UNKNOWN, "the answer did not end in time")
        return b"".join(parts)

    def _understood(self, answer: requests.Response, content: bytes, *, empty: bool) -> Any:
        status = answer.status_code
        said = f"HTTP {status}: {content[: 2 * WHY].decode('utf-8', 'replace')}"
        if status == 429:
            raise self._trouble(Verdict.LATER, said, after=_retry_after(answer))
        if status in _OURS:
            raise self._trouble(Verdict.LATER, f"it does not let us in: {said}", whole=True)
        if 300 <= status < 400:
            where = urlsplit(answer.headers.get("Location", "")).netloc or "itself"
            raise self._trouble(
                Verdict.UNKNOWN, f"HTTP {status}: a redirect to {where}, not followed", whole=True
            )
        if status >= 500:
            raise self._trouble(Verdict.UNKNOWN, said, after=_retry_after(answer))
        if status >= 400:
            refusal = self._answer(Verdict.REFUSED, said, doubt=status in _DOUBT)
            raise Refused(refusal, status, _json(content))
        if empty and not content.strip():
            return None
        found = _json(content)
        if found is None:
            raise self._trouble(Verdict.UNKNOWN, f"no JSON, so another system: {said}", whole=True)
        return found

    def _answer(self, verdict: Verdict, why: str, **more: Any) -> Answer:
        for secret in (*self.secrets, _basic(self.auth) if self.auth else ""):
            why = why.replace(secret, "***") if secret else why
        return Answer(verdict, why=pictured(" ".join(why.split()))[:WHY], **more)

    def _trouble(self, verdict: Verdict, why: str, **more: Any) -> Trouble:
        return Trouble(self._answer(verdict, why, **more))


class Refused(Trouble):
    """The status of the refusal and its JSON: a duplicate key is told here, by most."""

    def __init__(self, answer: Answer, status: int, said: Any) -> None:
        super().__init__(answer)
        self.status, self.said = status, said


def if_there(read: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What is read of one ticket over there; nothing where it is refused (it is gone, or not for us any more), so
    that the others are read."""
    try:
        return read()
    except Refused:
        return []


def allowed(url: str, hosts: Sequence[str], schemes: Sequence[str]) -> str:
    """The host of an address, if it may be spoken to."""
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname or "@" in parts.netloc:
        raise UsageError(
            "this is no address of a mirror", where="mirrors.systems.url", got=parts.hostname or url,
            expected=f"{' or '.join(schemes)}://host, without a user",
        )  # fmt: skip
    if parts.hostname not in {host.lower() for host in hosts}:
        raise UsageError(
            "this host is not on the list of those that may be spoken to", where="mirrors.hosts",
            got=parts.hostname, expected=", ".join(hosts) or "(the list is empty)",
            remedy="add it to mirrors.hosts, if it is meant",
        )  # fmt: skip
    return parts.hostname


def odd(why: str) -> Trouble:
    """An answer that is JSON, and not what this system says."""
    return Trouble(
        Answer(Verdict.UNKNOWN, why=f"not as this system answers: {why}"[:WHY], whole=True)
    )


def text_of(found: Any, *path: str) -> str:
    """The text or number at a path of an answer; Trouble where there is none."""
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, bool) or not isinstance(found, str | int) or not str(found):
        raise odd(f"no {'.'.join(path)}")
    return str(found)


def list_of(found: Any, *path: str) -> list[dict[str, Any]]:
    """The objects of the list at a path of an answer; Trouble where there is no list."""
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, list):
        raise odd(f"no list {'.'.join(path)}")
    return [one for one in found if isinstance(one, dict)]


def _basic(auth: tuple[str, str]) -> str:
    return b64encode(":".join(auth).encode()).decode()


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _never_sent(error: BaseException) -> bool:
    """Whether the connection itself could not be made."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or not isinstance(one, BaseException):
            continue
        seen.add(id(one))
        if isinstance(one, NewConnectionError):
            return True
        waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return False


def _retry_after(answer: requests.Response) -> float:
    text = answer.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return min(float(text), _LONGEST_WAIT)
    try:
        wait = (parsedate_to_datetime(text) - utc_now()).total_seconds()
    except (TypeError, ValueError):
        return 0.0
    return max(0.0, min(wait, _LONGEST_WAIT))
