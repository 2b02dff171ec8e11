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
from datetime import UTC, datetime, timedelta
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
_REMEMBERED: Final = 2_000


class M365Activity:
    """`pages` gives a blob's records at a time, with the place that follows them.

    What can no longer be fetched stands in the place under ``lost``, the newest last, as ``[from, to, cause, pieces]``:
    *expired* content was listed and gone when it was fetched, *missed* time lies further back than the API keeps."""

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
            if start < moment - _OLDEST:
                place = _with_lost(place, start, moment - _OLDEST, "missed", 0)
                start = moment - _OLDEST
            while start < moment:
                stop = min(start + _LONGEST, moment)
                gone: dict[str, datetime] = {}
                for records in self._window(kind, start, stop, gone):
                    yield records, place
                place = _with_gone(place, gone)
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

    def _window(
        self, kind: str, start: datetime, stop: datetime, gone: dict[str, datetime]
    ) -> Iterator[list[Any]]:
        """Records a blob; what is `gone` by the blob's address, with the time at which it was made."""
        span = {"startTime": start.strftime(_FORM), "endTime": stop.strftime(_FORM)}
        answer = self._client.get(
            f"{self._base}/subscriptions/content", {**self._query(kind), **span}
        )
        asked = set()
        while True:
            for blob in _list(answer):
                uri = str(blob.get("contentUri", ""))
                records = self._blob(uri)
                if records is None:
                    gone[uri.partition("?")[0]] = _made(blob, start)
                else:
                    yield records
            following = answer.headers.get("NextPageUri")
            if not following or following in asked:
                return
            asked.add(following)
            answer = self._client.get(following)

    def _blob(self, uri: str) -> list[Any] | None:
        """None: it has expired and will not come again."""
        answer = self._client.ask("GET", uri, {"PublisherIdentifier": self._tenant}, refused=True)
        if answer.status in {404, 410} or b"AF20051" in answer.body:
            _LOG.warning(
                "a content blob is gone before it was fetched", extra={"status": answer.status}
            )
            return None
        if answer.status // 100 != 2:
            raise RefusedError(
                "a content blob is refused",
                where=uri.partition("?")[0],
                got=f"status {answer.status}",
            )
        return _list(answer)

    def _query(self, kind: str) -> dict[str, str]:
        return {"contentType": kind, "PublisherIdentifier": self._tenant}


def _made(blob: Mapping[str, Any], otherwise: datetime) -> datetime:
    try:
        made = datetime.fromisoformat(str(blob.get("contentCreated")))
    except ValueError:
        return otherwise
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def _with_gone(place: dict[str, Any], gone: Mapping[str, datetime]) -> dict[str, Any]:
    """The place, with what is gone of a window; what an earlier window told (they overlap) is not told again."""
    known = place.get("gone", [])
    fresh = {uri: made for uri, made in gone.items() if uri not in known}
    if not fresh:
        return place
    place = {**place, "gone": [*known, *fresh][-_REMEMBERED:]}
    return _with_lost(place, min(fresh.values()), max(fresh.values()), "expired", len(fresh))


def _with_lost(
    place: dict[str, Any], start: datetime, stop: datetime, cause: str, pieces: int
) -> dict[str, Any]:
    lost = [start.isoformat(), stop.isoformat(), cause, pieces]
    return {**place, "lost": [*place.get("lost", []), lost][-_REMEMBERED:]}


def _list(answer: Answer) -> list[Any]:
    if not isinstance(answer.json, list):
        raise RefusedError("a list was expected", got=repr(answer.body[:80]))
    return answer.json
