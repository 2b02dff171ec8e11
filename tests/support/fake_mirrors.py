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


class FakeTheHive:
    def __init__(self) -> None:
        self.tickets: list[dict[str, Any]] = []

    def is_question(self, method: str, path: str) -> bool:
        return method == "GET" or path.endswith("/query")

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        path = path.removeprefix("/api/v1")
        if path == "/user/current":
            return 200, {"login": "thapcanh@city.example"}
        if path == "/query":
            first, then = body["query"]
            if first["_name"] == "listAlert":
                wanted = then["_eq"]["_value"]
                return 200, [t["out"] for t in self.tickets if t["out"]["sourceRef"] == wanted]
            ticket = self.tickets[int(first["idOrName"].removeprefix("~"))]
            return 200, [{"_id": f"~c{n}", "message": c} for n, c in enumerate(ticket["comments"])]
        if path == "/alert":
            if any(t["out"]["sourceRef"] == body["sourceRef"] for t in self.tickets):
                return 400, {"type": "CreateError", "message": "Alert already exists"}
            out = {"_id": f"~{len(self.tickets)}", "sourceRef": body["sourceRef"]}
            self.tickets.append(
                {"out": out, "text": body["description"], "comments": [], "closed": False}
            )
            return 201, out
        ticket = self.tickets[int(path.split("/")[2].removeprefix("~"))]
        if path.endswith("/comment"):
            ticket["comments"].append(body["message"])
            return 201, {"_id": f"~c{len(ticket['comments'])}"}
        if "status" in body:
            ticket["closed"] = body["status"] != "InProgress"
        return 204, None


class FakeIris:
    def __init__(self) -> None:
        self.tickets: list[dict[str, Any]] = []

    def is_question(self, method: str, path: str) -> bool:
        return method == "GET"

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        return 200, {"status": "success", "data": self._data(path, query, body)}

    def _data(self, path: str, query: dict[str, str], body: Any) -> Any:
        if path == "/api/ping":
            return []
        if path == "/manage/alert-status/list":
            names = ("New", "In progress", "Closed")
            return [{"status_id": n, "status_name": name} for n, name in enumerate(names, 2)]
        if path == "/manage/severities/list":
            names = ("Medium", "Informational", "Low", "High", "Critical")
            return [{"severity_id": n, "severity_name": name} for n, name in enumerate(names, 1)]
        if path == "/alerts/filter":
            found = [
                t["out"]
                for t in self.tickets
                if t["out"]["alert_source_ref"] == query["source_reference"]
            ]
            return {"total": len(found), "alerts": found}
        if path == "/alerts/add":
            out = {"alert_id": len(self.tickets) + 1, "alert_source_ref": body["alert_source_ref"]}
            text = body["alert_description"]
            self.tickets.append({"out": out, "text": text, "comments": [], "closed": False})
            return out
        if path.startswith("/alerts/update/"):
            ticket = self.tickets[int(path.split("/")[3]) - 1]
            ticket["closed"] = body.get("alert_status_id") == 4
            return ticket["out"]
        ticket = self.tickets[int(path.split("/")[2]) - 1]
        if path.endswith("/comments/add"):
            ticket["comments"].append(body["comment_text"])
            return {"comment_id": len(ticket["comments"])}
        return [{"comment_id": n, "comment_text": c} for n, c in enumerate(ticket["comments"], 1)]


class FakeJira:
    def __init__(self) -> None:
        self.tickets: list[dict[str, Any]] = []

    def is_question(self, method: str, path: str) -> bool:
        return method == "GET"

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        path = path.removeprefix("/rest/api/2")
        if path == "/serverInfo":
            return 200, {"deploymentType": "Cloud"}
        if path == "/myself":
            return 200, {"accountId": "557058:ours"}
        if path == "/project/SOC":
            return 200, {"key": "SOC"}
        if path == "/search/jql":
            wanted = re.search(r'labels = "([^"]+)"', query["jql"])
            assert wanted is not None
            return 200, {
                "issues": [{"key": t["key"]} for t in self.tickets if wanted[1] in t["labels"]]
            }
        if path == "/issue":
            fields = body["fields"]
            key = f"SOC-{len(self.tickets) + 1}"
            self.tickets.append(
                {
                    "key": key,
                    "labels": fields["labels"],
                    "text": fields["description"],
                    "comments": [],
                    "closed": False,
                }
            )
            return 201, {"id": "1", "key": key}
        ticket = self.tickets[int(path.split("/")[2].removeprefix("SOC-")) - 1]
        state = {"statusCategory": {"key": "done" if ticket["closed"] else "new"}}
        if path.endswith("/comment"):
            if method == "POST":
                ticket["comments"].append(body["body"])
                return 201, {"id": str(len(ticket["comments"]))}
            return 200, {
                "comments": [{"id": str(n), "body": c} for n, c in enumerate(ticket["comments"])]
            }
        if path.endswith("/transitions"):
            if method == "POST":
                ticket["closed"] = body["transition"]["id"] == "31"
                return 204, None
            ways = (("11", "new"), ("31", "done"))
            return 200, {
                "transitions": [{"id": n, "to": {"statusCategory": {"key": k}}} for n, k in ways]
            }
        return 200, {"fields": {"status": state}}


FAKES: dict[str, Any] = {
    "webhook": FakeWebhook,
    "request_tracker": FakeRequestTracker,
    "thehive": FakeTheHive,
    "iris": FakeIris,
    "jira": FakeJira,
}
GIVEN: dict[str, dict[str, Any]] = {
    "webhook": {"secret": "env:MIRROR_SECRET"},
    "request_tracker": {"place": "SOC", "user": "thapcanh", "password": "env:MIRROR_SECRET"},
    "thehive": {"token": "env:MIRROR_SECRET"},
    "iris": {"token": "env:MIRROR_SECRET", "place": "1", "user": "thapcanh"},
    "jira": {"token": "env:MIRROR_SECRET", "place": "SOC", "user": "soc@city.example"},
}


def system(kind: str, url: str, **more: Any) -> MirrorSystem:
    """The settings of a mirror named `m` at that address."""
    return MirrorSystem(name="m", kind=kind, url=url, **(GIVEN[kind] | {"timeout": TIMEOUT} | more))  # type: ignore[arg-type]
