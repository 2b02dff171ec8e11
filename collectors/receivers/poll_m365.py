"""Microsoft 365's management activity API, a poll of its own kind. Not yet run against the real system.

Built to Microsoft's "Office 365 Management Activity API reference". In: a tenant and content types. Each type's
subscription is started once (one that runs already is answered 400 with AF20024); then, window by window of at most
24 hours and no further back than 7 days, its content is listed (``NextPageUri`` names the next page) and each blob of
the list is fetched: a JSON array of records, each with an ``Id``. Blobs may appear late and again: windows overlap,
and the record's own id makes it one::

    kind: m365_activity
    hosts: [manage.office.com, login.microsoftonline.com]
    tenant: 11111111-2222-3333-4444-555555555555
    auth: {kind: oauth2, token_url: "https://login.microsoftonline.com/<tenant>/oauth2/v2.0/token",
           client_id: …, client_secret: "file:…", scope: "https://manage.office.com/.default"}
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from collectors.receivers.poll_client import Answer, PollClient
from pipeline.model.errors import RefusedError

CONTENT: Final = (
    "Audit.AzureActiveDirectory",
    "Audit.Exchange",
    "Audit.SharePoint",
    "Audit.General",
)
_LOG = logging.getLogger(__name__)
_LONGEST: Final = timedelta(hours=24)
_OLDEST: Final = timedelta(days=7) - timedelta(minutes=10)
_OVERLAP: Final = timedelta(hours=1)
_FORM: Final = "%Y-%m-%dT%H:%M:%S"


class M365Activity:
    """`pages` gives a blob's records at a time, with the place that follows them."""

    identity = "Id"

    def __init__(self, description: Mapping[str, Any], client: PollClient) -> None:
        tenant = description["tenant"]
        self._client, self._tenant = client, tenant
        self._base = f"{description.get('base', 'https://manage.office.com').rstrip('/')}/api/v1.0/{tenant}/activity/feed"
        self._content = tuple(description.get("content") or CONTENT)

    def pages(
        self, place: dict[str, Any], moment: datetime
    ) -> Iterator[tuple[list[Any], dict[str, Any]]]:
        for kind in self._content:
            if kind not in place.get("started", []):
                self._start(kind)
                place = {**place, "started": [*place.get("started", []), kind]}
                yield [], place
            begun = place.get(kind)
            start = datetime.fromisoformat(begun) if begun else moment - _LONGEST
            start = max(start, moment - _OLDEST)
            while start < moment:
                stop = min(start + _LONGEST, moment)
                for records in self._window(kind, start, stop):
                    yield records, place
                place = {**place, kind: max(stop - _OVERLAP, start).isoformat()}
                yield [], place
                start = stop

    def _start(self, kind: str) -> None:
        answer = self._client.ask(
            "POST", f"{self._base}/subscriptions/start", self._query(kind), refused=True
        )
        if answer.status // 100 == 2 or b"AF20024" in answer.body:  # it runs already
            return
        raise RefusedError(
            "the subscription cannot be started", where=kind, got=f"status {answer.status}",
            remedy="the app needs ActivityFeed.Read, and unified auditing must be on",
        )  # fmt: skip

    def _window(self, kind: str, start: datetime, stop: datetime) -> Iterator[list[Any]]:
        span = {"startTime": start.strftime(_FORM), "endTime": stop.strftime(_FORM)}
        answer = self._client.get(
            f"{self._base}/subscriptions/content", {**self._query(kind), **span}
        )
        asked = set()
        while True:
            for blob in _list(answer):
                yield self._blob(str(blob.get("contentUri", "")))
            following = answer.headers.get("NextPageUri")
            if not following or following in asked:
                return
            asked.add(following)
            answer = self._client.get(following)

    def _blob(self, uri: str) -> list[Any]:
        answer = self._client.ask("GET", uri, {"PublisherIdentifier": self._tenant}, refused=True)
        if (
            answer.status in {404, 410} or b"AF20051" in answer.body
        ):  # expired: it will not come again
            _LOG.warning(
                "a content blob is gone before it was fetched", extra={"status": answer.status}
            )
            return []
        if answer.status // 100 != 2:
            raise RefusedError(
                "a content blob is refused",
                where=uri.partition("?")[0],
                got=f"status {answer.status}",
            )
        return _list(answer)

    def _query(self, kind: str) -> dict[str, str]:
        return {"contentType": kind, "PublisherIdentifier": self._tenant}


def _list(answer: Answer) -> list[Any]:
    if not isinstance(answer.json, list):
        raise RefusedError("a list was expected", got=repr(answer.body[:80]))
    return answer.json
