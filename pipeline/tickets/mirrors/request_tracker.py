"""Best Practical's Request Tracker 5 by REST 2. Run for real: `tests/request_tracker/`.

Our key stands in the subject, ``[TC-17.9f3ab1c2d4] …``: every RT can search it (TicketSQL ``Subject LIKE``) and
no administrator has to make a field first. A comment's key is its subject, which RT keeps as the transaction's
``Data``. RT answers 200 to an update that it did not make, with the reason as text: what was set is read back.
The mirror needs an account of its own: what that does is ours, and does not come back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from pipeline.tickets.mirrors.base import Answer, Change, Changes, Letter, Verdict
from pipeline.tickets.mirrors.line import Line, if_there, list_of, odd, text_of

_ID: Final = re.compile(r"\d{1,18}")
_PRIORITY: Final = {"informational": 10, "low": 25, "medium": 50, "high": 75, "critical": 100}
_OVERLAP: Final = 50  # transactions that may have come late, read again
_PAGE: Final = 100
_FIELDS: Final = "Type,Creator,Created,Data,Field,OldValue,NewValue,ObjectId"
_TOLD: Final = (
    "Comment",
    "Correspond",
    "Status",
    "Set",
    "Owner",
    "Give",
    "Take",
    "Steal",
    "SetWatcher",
)


class RequestTracker:
    looks_up = True
    proven = True
    lag = 0.0
    form = "plain"

    def __init__(self, line: Line, *, queue: str, user: str, web: str) -> None:
        self._line, self._queue, self._user, self._web = line, queue, user, web.rstrip("/")

    def check(self) -> str:
        version = text_of(self._line.ask("GET", "/rt"), "Version")
        self._line.ask("GET", f"/queue/{quote(self._queue, safe='')}")
        return f"Request Tracker {version}, queue {self._queue}"

    def create(self, letter: Letter) -> Answer:
        found = self._line.ask(
            "POST", "/ticket",
            body={
                "Queue": self._queue, "Subject": letter.subject, "Content": letter.body,
                "ContentType": "text/plain", "Priority": _PRIORITY.get(letter.severity, 50),
            },
        )  # fmt: skip
        return self._there(Verdict.DONE, text_of(found, "id"))

    def update(self, remote: str, letter: Letter) -> Answer:
        return self._set(remote, {"Priority": _PRIORITY.get(letter.severity, 50)})

    def comment(self, remote: str, letter: Letter) -> Answer:
        said = self._line.ask(
            "POST",
            f"/ticket/{_id(remote)}/comment",
            body={"Subject": letter.deed, "Content": letter.note, "ContentType": "text/plain"},
        )  # fmt: skip
        if not isinstance(said, list):
            raise odd("no list of what was done")
        return self._there(Verdict.DONE, remote)

    def close(self, remote: str, letter: Letter) -> Answer:
        return self._set(remote, {"Status": "resolved"})

    def reopen(self, remote: str, letter: Letter) -> Answer:
        return self._set(remote, {"Status": "open"})

    def look_up(self, letter: Letter) -> Answer:
        found = self._line.ask(
            "GET", "/tickets",
            query={
                "query": f"Subject LIKE '[{letter.tag}]' AND Queue = '{_quoted(self._queue)}'",
                "orderby": "id",
            },
        )  # fmt: skip
        items = list_of(found, "items")
        if not items:
            return Answer(Verdict.ABSENT)
        return self._there(Verdict.KNOWN, text_of(items[0], "id"))

    def look_up_comment(self, remote: str, letter: Letter) -> Answer:
        page = 1
        while page <= 50:
            found = self._line.ask(
                "GET", f"/ticket/{_id(remote)}/history",
                query={"fields": "Type,Data", "per_page": _PAGE, "page": page},
            )  # fmt: skip
            items = list_of(found, "items")
            if any(str(one.get("Data", "")).strip() == letter.deed for one in items):
                return self._there(Verdict.KNOWN, remote)
            if len(items) < _PAGE:
                return Answer(Verdict.ABSENT)
            page += 1
        raise odd("a history without an end")

    def changes(self, cursor: str, remotes: Sequence[str]) -> Changes:
        if not cursor:
            return Changes((), str(self._last_transaction()))
        at = int(_id(cursor))
        query = f"ObjectType = 'RT::Ticket' AND id > {max(0, at - _OVERLAP)}"
        found = self._line.ask(
            "GET", "/transactions",
            query={"query": query, "fields": _FIELDS, "per_page": _PAGE, "orderby": "id"},
        )  # fmt: skip
        mine = set(remotes)
        items: list[Change] = []
        for one in list_of(found, "items"):
            number = int(_id(text_of(one, "id")))
            at = max(at, number)
            actor = text_of(one, "Creator", "id")
            remote = str(one.get("ObjectId", ""))
            if (
                actor in (self._user, "RT_System")
                or remote not in mine
                or one.get("Type") not in _TOLD
            ):
                continue
            if text := self._told(one, number):
                items.append(Change(str(number), remote, actor, text, _time(one.get("Created"))))
        return Changes(tuple(items), str(at))

    def _told(self, one: dict[str, Any], number: int) -> str:
        if one["Type"] in ("Comment", "Correspond"):
            found = if_there(partial(self._attachments, number))
            texts = [a for a in found if a.get("ContentType") == "text/plain"]
            return "\n".join(str(a.get("Content") or "") for a in texts).strip() or one["Type"]
        field = str(one.get("Field") or one["Type"])
        return f"{field}: {one.get('OldValue') or '—'} → {one.get('NewValue') or '—'}"

    def _attachments(self, number: int) -> list[dict[str, Any]]:
        query = {"fields": "Content,ContentType"}
        return list_of(
            self._line.ask("GET", f"/transaction/{number}/attachments", query=query), "items"
        )

    def _last_transaction(self) -> int:
        found = self._line.ask(
            "GET", "/transactions",
            query={"query": "id > 0", "per_page": 1, "orderby": "id", "order": "DESC"},
        )  # fmt: skip
        return max((int(_id(text_of(one, "id"))) for one in list_of(found, "items")), default=0)

    def _set(self, remote: str, wanted: dict[str, Any]) -> Answer:
        path = f"/ticket/{_id(remote)}"
        if not isinstance(self._line.ask("PUT", path, body=wanted), list):
            raise odd("no list of what was done")
        found = self._line.ask("GET", path)
        for name, value in wanted.items():
            if text_of(found, name) != str(value):
                why = f"{name} is {text_of(found, name)} and cannot be set to {value}"
                return Answer(Verdict.REFUSED, remote=remote, why=why)
        return self._there(Verdict.DONE, remote)

    def _there(self, verdict: Verdict, remote: str) -> Answer:
        return Answer(verdict, _id(remote), f"{self._web}/Ticket/Display.html?id={_id(remote)}")


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise odd("an id that is no number")
    return text


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
