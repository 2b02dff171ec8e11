"""Jira, Cloud and Data Center, by REST 2: a ticket is an issue. *Not yet run against the real system.*

Our key is a label, ``thapcanh-0194…``, which JQL finds. Jira's index may lag behind, so an issue that was perhaps
made is asked for by JQL only after the courier's back-off. A comment ends with its key. Cloud has its search under
``/search/jql``; which it is, `serverInfo` says. Issues end by the transition whose state is of the category *done*.
Facts of the API: Atlassian's REST API reference, version 2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from pipeline.tickets.mirrors.base import Answer, Change, Changes, Letter, Verdict
from pipeline.tickets.mirrors.line import Line, if_there, list_of, odd, text_of

_KEY: Final = re.compile(r"[A-Z][A-Z0-9_]{0,20}-\d{1,12}")
_TYPE: Final = "Task"
_WINDOW: Final = 15  # minutes of changes that are read each time


class Jira:
    looks_up = True
    proven = False
    lag = 30.0
    form = "wiki"

    def __init__(self, line: Line, *, project: str, web: str) -> None:
        self._line, self._project, self._web = line, project, web.rstrip("/")
        self._cloud: bool | None = None
        self._account = ""

    def check(self) -> str:
        kind = "Cloud" if self._is_cloud() else "Data Center"
        text_of(self._line.ask("GET", f"/project/{self._project}"), "key")
        return f"Jira {kind}, project {self._project}, as {self._me()}"

    def create(self, letter: Letter) -> Answer:
        fields = {
            "project": {"key": self._project}, "issuetype": {"name": _TYPE},
            "summary": letter.subject[:250], "description": letter.body,
            "labels": [_label(letter), "thapcanh"],
        }  # fmt: skip
        made = self._line.ask("POST", "/issue", body={"fields": fields})
        return self._there(Verdict.DONE, text_of(made, "key"))

    def update(self, remote: str, letter: Letter) -> Answer:
        return self._there(
            Verdict.DONE, remote
        )  # priorities are each project's own: the note says it

    def comment(self, remote: str, letter: Letter) -> Answer:
        made = self._line.ask(
            "POST",
            f"/issue/{_key(remote)}/comment",
            body={"body": f"{letter.note}\n{_mark(letter)}"},
        )
        text_of(made, "id")
        return self._there(Verdict.DONE, remote)

    def close(self, remote: str, letter: Letter) -> Answer:
        return self._move(remote, "done")

    def reopen(self, remote: str, letter: Letter) -> Answer:
        return self._move(remote, "new", "indeterminate")

    def look_up(self, letter: Letter) -> Answer:
        found = self._search(f'labels = "{_label(letter)}" ORDER BY created ASC')
        if not found:
            return Answer(Verdict.ABSENT)
        return self._there(Verdict.KNOWN, text_of(found[0], "key"))

    def look_up_comment(self, remote: str, letter: Letter) -> Answer:
        mark = _mark(letter)
        if any(mark in str(one.get("body", "")) for one in self._comments(remote)):
            return self._there(Verdict.KNOWN, remote)
        return Answer(Verdict.ABSENT)

    def changes(self, cursor: str, remotes: Sequence[str]) -> Changes:
        """Comments of others on issues changed in the last minutes: what came before is known by its id."""
        me = self._me()
        items = []
        for issue in self._search(f'labels = "thapcanh" AND updated >= "-{_WINDOW}m"'):
            remote = _key(text_of(issue, "key"))
            for one in if_there(partial(self._comments, remote)):
                author = one.get("author")
                author = author if isinstance(author, dict) else {}
                if str(author.get("accountId") or author.get("name")) != me:
                    name = str(author.get("displayName") or author.get("name") or "?")
                    at = _time(one.get("created"))
                    items.append(
                        Change(text_of(one, "id"), remote, name, str(one.get("body", "")), at)
                    )
        return Changes(tuple(items), "read")

    def _comments(self, remote: str) -> list[dict[str, Any]]:
        found = self._line.ask(
            "GET",
            f"/issue/{_key(remote)}/comment",
            query={"maxResults": 500, "orderBy": "-created"},
        )
        return list_of(found, "comments")

    def _search(self, jql: str) -> list[dict[str, Any]]:
        path = "/search/jql" if self._is_cloud() else "/search"
        found = self._line.ask(
            "GET", path, query={"jql": jql, "fields": "labels", "maxResults": 100}
        )
        return list_of(found, "issues")

    def _move(self, remote: str, *categories: str) -> Answer:
        """By a transition into a state of the category; none is needed where it is in one."""
        path = f"/issue/{_key(remote)}"
        issue = self._line.ask("GET", path, query={"fields": "status"})
        if text_of(issue, "fields", "status", "statusCategory", "key") in categories:
            return self._there(Verdict.KNOWN, remote)
        for one in list_of(self._line.ask("GET", f"{path}/transitions"), "transitions"):
            if text_of(one, "to", "statusCategory", "key") in categories:
                body = {"transition": {"id": text_of(one, "id")}}
                if self._line.ask("POST", f"{path}/transitions", body=body, empty=True) is not None:
                    raise odd("an answer to a transition that has none")
                return self._there(Verdict.DONE, remote)
        why = f"its workflow has no way to {' or '.join(categories)} from here"
        return Answer(Verdict.REFUSED, remote, why=why)

    def _is_cloud(self) -> bool:
        if self._cloud is None:
            info = self._line.ask("GET", "/serverInfo")
            self._cloud = text_of(info, "deploymentType") == "Cloud"
        return self._cloud

    def _me(self) -> str:
        if not self._account:
            me = self._line.ask("GET", "/myself")
            self._account = text_of(me, "accountId" if self._is_cloud() else "name")
        return self._account

    def _there(self, verdict: Verdict, remote: str) -> Answer:
        return Answer(verdict, _key(remote), f"{self._web}/browse/{_key(remote)}")


def _label(letter: Letter) -> str:
    return f"thapcanh-{letter.ticket}"


def _mark(letter: Letter) -> str:
    return f"(thapcanh {letter.deed})"


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise odd("a key that is none")
    return text


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
