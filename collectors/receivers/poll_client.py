"""Requests to an API that is polled: only to the hosts that are named, within limits, at the API's own pace.

In: a method, an address, parameters. Out: the answer of status 2xx. Credentials are added here and nowhere else.
429 and 5xx are tried again, after ``Retry-After`` or a growing pause with jitter; a token that is refused is
fetched once anew. A redirect is an error: it would lead out of the list of hosts.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from pipeline.model.errors import RefusedError, ServiceAwayError, UsageError
from pipeline.settings.secrets import read_secret

TRIES: Final = 6
LONGEST_PAUSE: Final = 3600.0
BODY_AT_MOST: Final = 64 << 20
WHOLE_WITHIN: Final = 600.0
_TIMEOUT: Final = (5, 30)
_LOCAL: Final = {"127.0.0.1", "localhost"}


class Answer:
    """`body` as it came, `json` of it, `headers`, `links`."""

    def __init__(self, response: requests.Response, body: bytes) -> None:
        self.status, self.headers, self.links, self.body = (
            response.status_code,
            response.headers,
            response.links,
            body,
        )

    @property
    def json(self) -> Any:
        import orjson

        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise RefusedError("the API's answer is not JSON", got=repr(self.body[:80])) from error


class PollClient:
    """`wait` pauses for so many seconds and says whether to go on; `refused` answers of 4xx are the caller's."""

    def __init__(
        self, description: Mapping[str, Any], where: str, wait: Callable[[float], bool]
    ) -> None:
        self._hosts, self._auth = set(description["hosts"]), description.get("auth") or {}
        self._where, self._wait = where, wait
        self._session = requests.Session()
        self._session.trust_env = False  # neither a .netrc nor a proxy of the environment
        self._token, self._token_until = "", 0.0

    def get(self, url: str, parameters: Mapping[str, str] | None = None,
            headers: Mapping[str, str] | None = None) -> Answer:  # fmt: skip
        return self.ask("GET", url, parameters, headers)

    def ask(
        self, method: str, url: str, parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, *, refused: bool = False,
    ) -> Answer:  # fmt: skip
        """Raises ServiceAwayError when it does not answer in time, RefusedError for what it will not give."""
        self._check(url)
        renewed, pause, why = False, 1.0, ""
        for _ in range(TRIES):
            try:
                answer = self._once(method, url, parameters, headers)
            except requests.RequestException as error:
                why = type(error).__name__  # its text may hold the address with its parameters
            else:
                if answer.status == 401 and self._auth.get("kind") == "oauth2" and not renewed:
                    renewed, self._token = True, ""
                    continue
                if answer.status != 429 and answer.status < 500:
                    return self._judged(answer, url, refused)
                why = f"status {answer.status}"
                pause = max(pause, retry_after(answer.headers.get("Retry-After", ""), time.time()))
            if not self._wait(min(pause, LONGEST_PAUSE) * random.uniform(1, 1.3)):  # noqa: S311 - jitter
                break
            pause = min(pause * 2, 300)
        raise ServiceAwayError(
            "the API does not answer", where=f"{self._where}: {urlsplit(url).netloc}", got=why
        )

    def _judged(self, answer: Answer, url: str, refused: bool) -> Answer:
        if answer.status // 100 == 2 or (refused and answer.status // 100 == 4):
            return answer
        raise RefusedError(
            "the API refuses", where=f"{self._where}: {urlsplit(url).netloc}{urlsplit(url).path}",
            got=f"status {answer.status}", remedy="see its credentials, permissions and address",
        )  # fmt: skip

    def _once(
        self,
        method: str,
        url: str,
        parameters: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
    ) -> Answer:
        return self._read(
            method, url, params=parameters or {}, headers={**(headers or {}), **self._credentials()}
        )

    def _read(self, method: str, url: str, **more: Any) -> Answer:
        with self._session.request(
            method, url, timeout=_TIMEOUT, allow_redirects=False, stream=True, **more
        ) as response:
            parts, size, until = [], 0, time.monotonic() + WHOLE_WITHIN
            for part in response.iter_content(1 << 16):
                size += len(part)
                if time.monotonic() > until:
                    raise requests.Timeout
                if size > BODY_AT_MOST:
                    raise RefusedError(
                        "the API's answer is too large", expected=f"at most {BODY_AT_MOST} bytes"
                    )
                parts.append(part)
            return Answer(response, b"".join(parts))

    def _credentials(self) -> dict[str, str]:
        auth = self._auth
        match auth.get("kind"):
            case "bearer":
                return {"Authorization": f"Bearer {self._secret('token')}"}
            case "header":
                return {auth["name"]: self._secret("value")}
            case "basic":
                plain = requests.auth._basic_auth_str(auth["user"], self._secret("password"))
                return {"Authorization": plain}
            case "oauth2":
                return {"Authorization": f"Bearer {self._oauth()}"}
        return {}

    def _oauth(self) -> str:
        """A token of client credentials (RFC 6749, 4.4), kept until shortly before its end."""
        if self._token and time.monotonic() < self._token_until:
            return self._token
        auth = self._auth
        self._check(auth["token_url"])
        form = {
            "grant_type": "client_credentials", "client_id": auth["client_id"],
            "client_secret": self._secret("client_secret"), "scope": auth.get("scope", ""),
        }  # fmt: skip
        answer = self._read("POST", auth["token_url"], data=form)
        if answer.status == 429 or answer.status >= 500:
            raise requests.ConnectionError(f"status {answer.status}")
        said = answer.json if answer.status == 200 else {}
        if not isinstance(said, dict) or not isinstance(said.get("access_token"), str):
            raise RefusedError(
                "no token was given", where=f"{self._where}: auth", got=f"status {answer.status}",
                remedy="see client_id, client_secret and scope",
            )  # fmt: skip
        self._token = said["access_token"]
        self._token_until = time.monotonic() + max(0.0, float(said.get("expires_in") or 300) - 60)
        return self._token

    def _secret(self, name: str) -> str:
        return read_secret(self._auth[name], f"{self._where}: auth/{name}")

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.netloc not in self._hosts:
            raise UsageError(
                "this host is not in the poll's list", where=self._where, got=parts.netloc,
                expected=", ".join(sorted(self._hosts)),
            )  # fmt: skip
        if parts.scheme != "https" and parts.hostname not in _LOCAL:
            raise UsageError(
                "an API is asked by https",
                where=self._where,
                got=f"{parts.scheme}://{parts.netloc}",
            )


def retry_after(text: str, now: float) -> float:
    """Seconds that a ``Retry-After`` asks for, in either of its forms; 0 for none."""
    if text.strip().isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return 0.0
    return max(
        0.0,
        (
            moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.fromtimestamp(now, UTC)
        ).total_seconds(),
    )
