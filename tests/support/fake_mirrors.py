"""Outside systems in memory, as their API descriptions say; each keeps `tickets` with key, comments and state.

A ticket of `tickets` is ``{"id", "text", "comments": […], "closed"}``; the contract suite counts them.
"""

from __future__ import annotations

import re
from typing import Any

from support.misbehaving import TIMEOUT

from pipeline.settings.values import MirrorSystem


class FakeWebhook:
    """A receiver as `docs/mirrors.md` asks for: it drops keys that it has done."""

    def __init__(self) -> None:
        self.tickets: list[dict[str, Any]] = []
        self.keys: set[str] = set()

    def is_question(self, method: str, path: str) -> bool:
        return False

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if body["key"] in self.keys:
            return 200, {"key": body["key"], "known": True}
        self.keys.add(body["key"])
        if body["deed"] == "create":
            self.tickets.append(
                {"id": body["key"], "text": body["text"], "comments": [], "closed": False}
            )
            return 200, {"key": body["key"]}
        found = [t for t in self.tickets if t["id"] == body["ticket"].get("id")]
        for ticket in found:
            if body["deed"] == "comment":
                ticket["comments"].append(body["text"])
            elif body["deed"] in ("close", "reopen"):
                ticket["closed"] = body["deed"] == "close"
        return 200, {"key": body["key"]}


class FakeRequestTracker:
    def __init__(self) -> None:
        self.tickets: list[dict[str, Any]] = []

    def is_question(self, method: str, path: str) -> bool:
        return method == "GET"

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        path = path.removeprefix("/REST/2.0")
        if path == "/rt":
            return 200, {"Version": "5.0.3"}
        if path == "/queue/SOC":
            return 200, {"id": 3, "Name": "SOC"}
        if path == "/tickets":
            wanted = re.search(r"LIKE '([^']+)'", query["query"])
            assert wanted is not None
            found = [{"id": str(t["id"])} for t in self.tickets if wanted[1] in t["subject"]]
            return 200, {"items": found}
        if path == "/ticket":
            self.tickets.append(
                {"id": len(self.tickets) + 1, "subject": body["Subject"], "text": body["Content"],
                 "comments": [], "keys": [], "closed": False, "Status": "new", "Priority": "0"}
            )  # fmt: skip
            return 201, {"id": str(len(self.tickets)), "type": "ticket"}
        if path == "/transactions":
            return 200, {"items": []}
        number = int(path.split("/")[2])
        ticket = self.tickets[number - 1]
        if path.endswith("/comment"):
            ticket["comments"].append(body["Content"])
            ticket["keys"].append(body["Subject"])
            return 201, ["Comments added"]
        if path.endswith("/history"):
            return 200, {"items": [{"Data": key + "\n"} for key in ticket["keys"]]}
        if method == "PUT":
            ticket |= {name: str(value) for name, value in body.items()}
            ticket["closed"] = ticket["Status"] == "resolved"
            return 200, []
        return 200, {"Status": ticket["Status"], "Priority": ticket["Priority"]}


FAKES: dict[str, Any] = {"webhook": FakeWebhook, "request_tracker": FakeRequestTracker}
GIVEN: dict[str, dict[str, Any]] = {
    "webhook": {"secret": "env:MIRROR_SECRET"},
    "request_tracker": {"place": "SOC", "user": "thapcanh", "password": "env:MIRROR_SECRET"},
}


def system(kind: str, url: str, **more: Any) -> MirrorSystem:
    """The settings of a mirror named `m` at that address."""
    return MirrorSystem(name="m", kind=kind, url=url, **(GIVEN[kind] | {"timeout": TIMEOUT} | more))  # type: ignore[arg-type]
