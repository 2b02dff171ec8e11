"""TheHive 5: a ticket is an alert, by its public API v1. *Not yet run against the real system.*

`type`, `source` and `sourceRef` of an alert are unique there, so a repeat is refused by the server itself; it is
looked up then. A comment ends with its key. Facts of the API: TheHive's documentation and thehive4py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from pipeline.model.clock import from_micros
from pipeline.tickets.mirrors.base import Answer, Change, Changes, Letter, Verdict
from pipeline.tickets.mirrors.line import Line, Refused, if_there, list_of, odd, text_of

SOURCE: Final = "thapcanh"
_ID: Final = re.compile(r"[~\w-]{1,64}")
_SEVERITY: Final = {"informational": 1, "low": 1, "medium": 2, "high": 3, "critical": 4}
_TLP: Final = {"clear": 0, "green": 1, "amber": 2, "amber+strict": 3, "red": 4}
_CLOSED: Final = {
    "duplicate": "Duplicate",
    "false_positive_logic": "FalsePositive",
    "false_positive_data": "FalsePositive",
}
_PAGE: Final = 100


class TheHive:
    looks_up = True
    proven = False
    lag = 0.0
    form = "markdown"

    def __init__(self, line: Line, *, web: str) -> None:
        self._line, self._web = line, web.rstrip("/")
        self._login = ""

    def check(self) -> str:
        self._login = ""  # asked anew: a session that has ended is to be seen
        return f"TheHive, as {self._me()}"

    def create(self, letter: Letter) -> Answer:
        body = {
            "type": SOURCE, "source": SOURCE, "sourceRef": letter.ticket, "title": letter.subject[:512],
            "description": letter.body, "severity": _SEVERITY.get(letter.severity, 2),
            "tlp": _TLP.get(str(letter.facts.get("tlp")), 3), "externalLink": letter.link or None,
        }  # fmt: skip
        try:
            made = self._line.ask(
                "POST", "/alert", body={k: v for k, v in body.items() if v is not None}
            )
        except Refused as refused:
            found = self.look_up(letter)
            return found if found.verdict is Verdict.KNOWN else refused.answer
        if text_of(made, "sourceRef") != letter.ticket:
            raise odd("another alert than was sent")
        return self._there(Verdict.DONE, text_of(made, "_id"))

    def update(self, remote: str, letter: Letter) -> Answer:
        return self._patch(remote, {"severity": _SEVERITY.get(letter.severity, 2)})

    def comment(self, remote: str, letter: Letter) -> Answer:
        text = f"{letter.note}\n{_mark(letter)}"
        made = self._line.ask("POST", f"/alert/{_id(remote)}/comment", body={"message": text})
        text_of(made, "_id")
        return self._there(Verdict.DONE, remote)

    def close(self, remote: str, letter: Letter) -> Answer:
        return self._patch(remote, {"status": _CLOSED.get(letter.reason, "Ignored")})

    def reopen(self, remote: str, letter: Letter) -> Answer:
        return self._patch(remote, {"status": "InProgress"})

    def look_up(self, letter: Letter) -> Answer:
        for one in self._query(
            {"_name": "listAlert"},
            {"_name": "filter", "_eq": {"_field": "sourceRef", "_value": letter.ticket}},
        ):
            if one.get("sourceRef") == letter.ticket:
                return self._there(Verdict.KNOWN, text_of(one, "_id"))
        return Answer(Verdict.ABSENT)

    def look_up_comment(self, remote: str, letter: Letter) -> Answer:
        mark = _mark(letter)
        if any(mark in str(one.get("message", "")) for one in self._comments(remote)):
            return self._there(Verdict.KNOWN, remote)
        return Answer(Verdict.ABSENT)

    def changes(self, cursor: str, remotes: Sequence[str]) -> Changes:
        """Comments of others, of the tickets last changed here: a hundred a reading, in turn."""
        me, start = self._me(), int(cursor) if cursor.isdigit() else 0
        part = list(remotes[start : start + 100])
        items = [
            Change(text_of(one, "_id"), remote, str(one.get("createdBy") or one.get("_createdBy")),
                   str(one.get("message", "")), _time(one))
            for remote in part
            for one in if_there(partial(self._comments, remote))
            if (one.get("createdBy") or one.get("_createdBy")) != me
        ]  # fmt: skip
        return Changes(tuple(items), str(start + 100 if len(part) == 100 else 0))

    def _comments(self, remote: str) -> list[dict[str, Any]]:
        return self._query({"_name": "getAlert", "idOrName": _id(remote)}, {"_name": "comments"})

    def _query(self, *steps: dict[str, Any]) -> list[dict[str, Any]]:
        return list_of(self._line.ask("POST", "/query", body={"query": list(steps)}))

    def _me(self) -> str:
        self._login = self._login or text_of(self._line.ask("GET", "/user/current"), "login")
        return self._login

    def _patch(self, remote: str, values: dict[str, Any]) -> Answer:
        said = self._line.ask("PATCH", f"/alert/{_id(remote)}", body=values, empty=True)
        if said is not None:
            raise odd("an answer to a change that has none")
        return self._there(Verdict.DONE, remote)

    def _there(self, verdict: Verdict, remote: str) -> Answer:
        return Answer(verdict, _id(remote), f"{self._web}/alerts/{quote(_id(remote))}/details")


def _mark(letter: Letter) -> str:
    return f"(thapcanh {letter.deed})"


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise odd("an id that is none")
    return text


def _time(one: dict[str, Any]) -> Any:
    at = one.get("_createdAt") or one.get("createdAt")
    return from_micros(at * 1000) if isinstance(at, int) and 0 < at < 10**14 else None
