"""DFIR-IRIS 2.1 and later: a ticket is an alert, by its public API. *Not yet run against the real system.*

`alert_source_ref` holds our key and can be searched; IRIS does not hold it unique, so it is looked up before a
repeat. Severities and states have numbers of the installation: they are asked for by name. A comment ends with its
key. Facts of the API: IRIS' documentation and the routes of iris-web.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from pipeline.model.clock import to_iso, utc_now
from pipeline.tickets.mirrors.base import Answer, Change, Changes, Letter, Verdict
from pipeline.tickets.mirrors.line import Line, if_there, list_of, odd, text_of

SOURCE: Final = "Thap Canh"
_ID: Final = re.compile(r"\d{1,18}")
_PART: Final = 50  # tickets whose comments are read at a time


class Iris:
    looks_up = True
    proven = False
    lag = 0.0
    form = "markdown"

    def __init__(self, line: Line, *, customer: int, user: str, web: str) -> None:
        self._line, self._customer, self._user, self._web = line, customer, user, web.rstrip("/")
        self._names: dict[str, dict[str, int]] = {}

    def check(self) -> str:
        self._ask("GET", "/api/ping")
        self._number("status", "New")
        self._number("severity", "Medium")
        return f"DFIR-IRIS, customer {self._customer}"

    def create(self, letter: Letter) -> Answer:
        made = self._ask(
            "POST", "/alerts/add",
            {
                "alert_title": letter.subject, "alert_description": letter.body, "alert_source": SOURCE,
                "alert_source_ref": letter.ticket, "alert_source_link": letter.link,
                "alert_severity_id": self._number("severity", letter.severity.capitalize()),
                "alert_status_id": self._number("status", "New"), "alert_customer_id": self._customer,
                "alert_source_event_time": str(letter.facts.get("first", to_iso(utc_now()))).rstrip("Z"),
            },
        )  # fmt: skip
        return self._there(Verdict.DONE, text_of(made, "alert_id"))

    def update(self, remote: str, letter: Letter) -> Answer:
        number = self._number("severity", letter.severity.capitalize())
        return self._set(remote, {"alert_severity_id": number})

    def comment(self, remote: str, letter: Letter) -> Answer:
        text = f"{letter.note}\n{_mark(letter)}"
        made = self._ask("POST", f"/alerts/{_id(remote)}/comments/add", {"comment_text": text})
        text_of(made, "comment_id")
        return self._there(Verdict.DONE, remote)

    def close(self, remote: str, letter: Letter) -> Answer:
        return self._set(remote, {"alert_status_id": self._number("status", "Closed")})

    def reopen(self, remote: str, letter: Letter) -> Answer:
        return self._set(remote, {"alert_status_id": self._number("status", "In progress")})

    def look_up(self, letter: Letter) -> Answer:
        found = self._ask("GET", "/alerts/filter", query={"source_reference": letter.ticket})
        for one in list_of(found, "alerts"):
            if one.get("alert_source_ref") == letter.ticket:
                return self._there(Verdict.KNOWN, text_of(one, "alert_id"))
        return Answer(Verdict.ABSENT)

    def look_up_comment(self, remote: str, letter: Letter) -> Answer:
        mark = _mark(letter)
        if any(mark in str(one.get("comment_text", "")) for one in self._comments(remote)):
            return self._there(Verdict.KNOWN, remote)
        return Answer(Verdict.ABSENT)

    def changes(self, cursor: str, remotes: Sequence[str]) -> Changes:
        """Comments of others, of the tickets last changed here: fifty a reading, in turn."""
        start = int(cursor) if cursor.isdigit() else 0
        part = list(remotes[start : start + _PART])
        items = []
        for remote in part:
            for one in if_there(partial(self._comments, remote)):
                user = one.get("user")
                name = (
                    str(user.get("user_login") or user.get("user_name"))
                    if isinstance(user, dict)
                    else "?"
                )
                text = str(one.get("comment_text", ""))
                if name != self._user and "(thapcanh " not in text:
                    items.append(Change(text_of(one, "comment_id"), remote, name, text))
        return Changes(tuple(items), str(start + _PART if len(part) == _PART else 0))

    def _comments(self, remote: str) -> list[dict[str, Any]]:
        return list_of(self._ask("GET", f"/alerts/{_id(remote)}/comments/list"))

    def _set(self, remote: str, values: dict[str, Any]) -> Answer:
        said = self._ask("POST", f"/alerts/update/{_id(remote)}", values)
        if text_of(said, "alert_id") != remote:
            raise odd("another alert than was meant")
        return self._there(Verdict.DONE, remote)

    def _number(self, kind: str, name: str) -> int:
        if kind not in self._names:
            path = {"status": "/manage/alert-status/list", "severity": "/manage/severities/list"}[
                kind
            ]
            field = {
                "status": ("status_name", "status_id"),
                "severity": ("severity_name", "severity_id"),
            }[kind]
            rows = list_of(self._ask("GET", path))
            self._names[kind] = {
                text_of(row, field[0]).lower(): int(text_of(row, field[1])) for row in rows
            }
        number = self._names[kind].get(name.lower())
        if number is None:
            raise odd(f"no {kind} {name}")
        return number

    def _ask(
        self, method: str, path: str, body: Any = None, *, query: dict[str, Any] | None = None
    ) -> Any:
        said = self._line.ask(method, path, body=body, query=query)
        if not isinstance(said, dict) or said.get("status") != "success":
            raise odd("no status of success")
        return said.get("data")

    def _there(self, verdict: Verdict, remote: str) -> Answer:
        return Answer(verdict, _id(remote), f"{self._web}/alerts?alert_ids={_id(remote)}")


def _mark(letter: Letter) -> str:
    return f"(thapcanh {letter.deed})"


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise odd("an id that is no number")
    return text
