"""APIs that are polled: pages, cursors, rate limits, tokens, and an API that misbehaves."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from contract.test_receiver_contract import until
from support.collector import spooled

from collectors.collect import Collector, run_collector
from collectors.receivers import poll_client
from collectors.receivers.base import Limits
from collectors.receivers.counters import Loss
from collectors.receivers.directory import FixedDirectory, SourceIdentity
from collectors.receivers.intake import Intake
from collectors.receivers.poll_client import PollClient, retry_after
from collectors.receivers.poll_description import read_description
from collectors.receivers.rest_poll import RestPoll
from collectors.spool import Draft, Receipt
from pipeline.model.errors import FaultsError, RefusedError, ServiceAwayError, UsageError
from pipeline.settings.values import CollectSettings, FileInput

MADE = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
API = SourceIdentity("q1-api", "q1", "microsoft_365")
Answer = tuple[int, dict[str, str], Any]
Say = Callable[[str, str, dict[str, str], dict[str, str]], Answer]


class Api:
    """A server that answers what `say` makes of (method, path, query, headers), and keeps what was asked."""

    def __init__(self) -> None:
        self.say: Say = lambda *_: (404, {}, {})
        self.asked: list[str] = []

    def serve(self) -> Iterator[Api]:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _answer(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                query = {k: v[0] for k, v in parse_qs(parts.query).items()}
                query |= {k: v[0] for k, v in parse_qs(self.rfile.read(length).decode()).items()}
                outer.asked.append(f"{self.command} {self.path}")
                status, headers, body = outer.say(
                    self.command, parts.path, query, dict(self.headers)
                )
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = _answer  # noqa: N815 - http.server's names

            def log_message(self, *_: Any) -> None: ...

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.host = f"127.0.0.1:{server.server_address[1]}"
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            yield self
            server.shutdown()


@pytest.fixture
def api() -> Iterator[Api]:
    yield from Api().serve()


class Kept(RestPoll):
    """Stores into a list; dies where it is told to."""

    def __init__(self, folder: Path, description: dict[str, Any]) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "poll.yml").write_text(yaml.safe_dump(description))
        given = FileInput(
            name="api", kind="rest_poll", source="q1-api", paths=(str(folder / "poll.yml"),)
        )
        intake = Intake(None, FixedDirectory(files=[API]), Limits())  # type: ignore[arg-type]
        super().__init__(given, intake, CollectSettings(), folder)
        self.kept: list[Draft] = []
        self.dies_before_moving = 0
        self.check()

    def store(self, drafts: Any, cut: int = 0) -> Receipt:
        self.kept += drafts
        return Receipt(1, len(drafts))

    def _move(self, place: dict[str, Any]) -> None:
        self.dies_before_moving -= 1
        if self.dies_before_moving == 0:
            raise OSError("killed here")
        super()._move(place)

    def turn(self) -> list[Any]:
        """What a turn stored."""
        before = len(self.kept)
        self.work(API, 0)
        return [json.loads(draft.body) for draft in self.kept[before:]]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses are noted and not made."""
    pauses: list[float] = []
    monkeypatch.setattr(poll_client.random, "uniform", lambda *_: 1.0)
    begun = PollClient.__init__

    def without_pauses(self: PollClient, description: Any, where: str, wait: Any) -> None:
        begun(self, description, where, lambda seconds: not pauses.append(seconds))  # type: ignore[func-returns-value]

    monkeypatch.setattr(PollClient, "__init__", without_pauses)
    return pauses


EVENTS = [{"id": f"e{n}", "at": f"2026-11-24T09:00:{n:02d}Z", "n": n} for n in range(7)]


def by_token(api: Api) -> dict[str, Any]:
    """Three events a page, newest last, only those after ``since``."""

    def say(method: str, path: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
        wanted = [e for e in EVENTS if e["at"] >= query.get("since", "")]
        first = int(query.get("after", 0))
        more = {"next": str(first + 3)} if first + 3 < len(wanted) else {}
        return 200, {}, {"data": {"items": wanted[first : first + 3]}, **more}

    api.say = say
    return {
        "kind": "json", "hosts": [api.host], "url": f"http://{api.host}/events", "records": "data.items",
        "identity": "id", "page": {"kind": "token", "path": "next", "parameter": "after"},
        "cursor": {"kind": "value", "path": "at", "parameter": "since"},
    }  # fmt: skip


def test_all_pages_are_stored_and_the_next_turn_begins_where_they_ended(
    api: Api, tmp_path: Path
) -> None:
    poll = Kept(tmp_path, by_token(api))
    assert poll.turn() == EVENTS
    assert [d.identity for d in poll.kept] == [f'poll:"e{n}"'.encode() for n in range(7)]
    assert poll.turn() == EVENTS[-1:]  # known by its identity
    assert api.asked[-1] == "GET /events?since=2026-11-24T09%3A00%3A06Z"


def test_killed_between_storing_and_moving_nothing_is_lost_and_identities_are_the_same(
    api: Api, tmp_path: Path
) -> None:
    description = by_token(api)
    for page in (1, 2, 3):
        first = Kept(tmp_path / str(page), description)
        first.dies_before_moving = page
        with pytest.raises(OSError, match="killed here"):
            first.turn()
        second = Kept(tmp_path / str(page), description)
        second.turn()
        both = {d.identity: d.body for d in first.kept + second.kept}
        assert [json.loads(body) for body in both.values()] == EVENTS
        assert len(first.kept) + len(second.kept) < 11  # it goes on at its page


def test_pages_by_link_and_by_offset(api: Api, tmp_path: Path) -> None:
    def say(method: str, path: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
        first = int(query.get("skip", 0))
        link = f'<http://{api.host}/events?skip={first + 3}>; rel="next"'
        return 200, {"Link": link} if first + 3 < 7 else {}, EVENTS[first : first + 3]

    api.say = say
    common = {
        "kind": "json",
        "hosts": [api.host],
        "url": f"http://{api.host}/events",
        "records": "",
        "identity": "id",
    }
    assert Kept(tmp_path / "a", {**common, "page": {"kind": "link"}}).turn() == EVENTS
    offset = {"kind": "offset", "parameter": "skip", "size": 3}
    assert Kept(tmp_path / "b", {**common, "page": offset}).turn() == EVENTS


def test_a_window_of_time_moves_and_overlaps(api: Api, tmp_path: Path) -> None:
    spans: list[tuple[str, str]] = []

    def say(method: str, path: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
        spans.append((query["f"], query["t"]))
        return 200, {}, []

    api.say = say
    cursor = {
        "kind": "window",
        "from": "f",
        "to": "t",
        "begin_hours": 3,
        "longest_hours": 1,
        "overlap_seconds": 600,
    }
    poll = Kept(
        tmp_path,
        {
            "kind": "json",
            "hosts": [api.host],
            "url": f"http://{api.host}/e",
            "records": "",
            "identity": "id",
            "cursor": cursor,
        },
    )
    for _ in range(3):
        poll.turn()
    starts = [datetime.fromisoformat(start) for start, _ in spans]
    stops = [datetime.fromisoformat(stop) for _, stop in spans]
    assert [b - a for a, b in zip(starts, starts[1:], strict=False)] == [timedelta(minutes=50)] * 2
    assert [b - a for a, b in zip(starts, stops, strict=True)] == [timedelta(hours=1)] * 3


def test_a_limit_of_rate_is_kept_and_errors_are_tried_again(
    api: Api, tmp_path: Path, at_once: list[float]
) -> None:
    description = by_token(api)
    good, troubles = api.say, [(429, {"Retry-After": "7"}), (503, {}), (500, {})]

    def say(*asked: Any) -> Answer:
        return (*troubles.pop(0), b"no") if troubles else good(*asked)

    api.say = say
    assert Kept(tmp_path, description).turn() == EVENTS
    assert at_once == [7, 14, 28]
    troubles[:] = [(503, {})] * 20
    with pytest.raises(ServiceAwayError):
        Kept(tmp_path / "b", description).turn()
    assert len(troubles) == 20 - poll_client.TRIES


def test_a_retry_after_is_seconds_or_a_date() -> None:
    now = datetime(2026, 11, 24, 9, tzinfo=UTC).timestamp()
    assert [
        retry_after(t, now) for t in ("9", "Tue, 24 Nov 2026 09:01:00 GMT", "", "soon", "-3")
    ] == [9, 60, 0, 0, 0]


def test_client_credentials_are_renewed_when_a_token_is_refused(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_SECRET", "s3cret")
    description = by_token(api)
    good, tokens = api.say, iter(["old", "new"])

    def say(method: str, path: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
        if path == "/token":
            right = (query["client_id"], query["client_secret"], query["scope"]) == (
                "app",
                "s3cret",
                "all",
            )
            return (
                (200, {}, {"access_token": next(tokens), "expires_in": 3600})
                if right
                else (400, {}, {})
            )
        if headers.get("Authorization") != "Bearer new":
            return 401, {}, {}
        return good(method, path, query, headers)

    api.say = say
    description["auth"] = {
        "kind": "oauth2", "token_url": f"http://{api.host}/token", "client_id": "app",
        "client_secret": "env:API_SECRET", "scope": "all",
    }  # fmt: skip
    assert Kept(tmp_path, description).turn() == EVENTS
    assert sum("/token" in one for one in api.asked) == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((302, {"Location": "http://evil.example/"}, b""), RefusedError),
        ((200, {"Link": '<http://evil.example/x>; rel="next"'}, []), UsageError),
        ((200, {"Link": '<file:///etc/passwd>; rel="next"'}, []), UsageError),
        ((200, {}, b"<html>"), RefusedError),
        ((200, {}, {"not": "a list"}), RefusedError),
        ((403, {}, b"no"), RefusedError),
    ],
)
def test_an_api_that_misbehaves_leads_nowhere_else(
    api: Api, tmp_path: Path, answer: Answer, error: type[Exception]
) -> None:
    api.say = lambda *_: answer
    poll = Kept(
        tmp_path,
        {"kind": "json", "hosts": [api.host], "url": f"http://{api.host}/e", "records": "", "identity": "id",
         "page": {"kind": "link"}},
    )  # fmt: skip
    with pytest.raises(error):
        poll.turn()
    assert len(api.asked) == 1


def test_faults_of_a_description_are_named_together_and_show_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "poll.yml"
    file.write_text(
        "kind: json\nhosts: []\nurl: ftp://x\nrecords: ''\nidentity: id\nunknown: 1\nauth: {kind: bearer, token: hunter2}\n"
    )
    with pytest.raises(FaultsError) as caught:
        read_description(file)
    said = str(caught.value)
    assert all(word in said for word in ("hosts", "url", "unknown", "yml: auth"))
    assert "hunter2" not in said
    for text in ("kind: magic", "[1]", "a: [", "kind: json"):
        file.write_text(text)
        with pytest.raises((FaultsError, UsageError)):
            read_description(file)


def test_microsoft_365_is_subscribed_listed_and_fetched_and_comes_again_with_the_same_ids(
    api: Api, tmp_path: Path
) -> None:
    feed = "/api/v1.0/t1/activity/feed"
    blobs = {"b1": [{"Id": "r1"}, {"Id": "r2"}], "b2": [{"Id": "r3"}], "gone": []}

    def listed(*names: str) -> list[dict[str, str]]:
        return [
            {
                "contentUri": f"http://{api.host}{feed}/audit/{name}",
                "contentId": name,
                "contentCreated": MADE.isoformat().replace("+00:00", "Z"),
            }
            for name in names
        ]

    def say(method: str, path: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
        assert query["PublisherIdentifier"] == "t1"
        if path == f"{feed}/subscriptions/start":
            return (
                (200, {}, {})
                if query["contentType"] == "Audit.Exchange"
                else (400, {}, {"error": {"code": "AF20024"}})
            )
        if path == f"{feed}/subscriptions/content":
            if query["contentType"] == "Audit.Exchange":
                return 200, {}, []
            if "nextPage" in query:
                return 200, {}, listed("b2", "gone")
            following = f"http://{api.host}{feed}/subscriptions/content?contentType=Audit.General&nextPage=2&PublisherIdentifier=t1"
            return 200, {"NextPageUri": following}, listed("b1")
        name = path.rpartition("/")[2]
        return (
            (404, {}, {"error": {"code": "AF20051"}}) if name == "gone" else (200, {}, blobs[name])
        )

    api.say = say
    description = {
        "kind": "m365_activity", "hosts": [api.host], "tenant": "t1", "base": f"http://{api.host}",
        "content": ["Audit.Exchange", "Audit.General"], "auth": {"kind": "bearer", "token": "env:PATH"},
    }  # fmt: skip
    poll = Kept(tmp_path, description)
    assert poll.turn() == [{"Id": "r1"}, {"Id": "r2"}, {"Id": "r3"}]
    assert sum("start" in one and "POST" in one for one in api.asked) == 2
    again = Kept(tmp_path, description)
    assert again.turn() == [{"Id": "r1"}, {"Id": "r2"}, {"Id": "r3"}]
    assert (
        {d.identity for d in again.kept}
        == {d.identity for d in poll.kept}
        == {b'poll:"r1"', b'poll:"r2"', b'poll:"r3"'}
    )
    assert sum("subscriptions/start" in one for one in api.asked) == 2  # once
    lost = [Loss("q1-api", MADE, MADE, "expired", 1)]
    assert poll.intake.losses.waiting() == again.intake.losses.waiting() == lost
    counted = poll.intake.counters.of("api", "q1-api")
    assert (counted.received, counted.dropped) == (1, {"expired": 1})  # `Kept` counts nothing else
    assert again.intake.counters.of("api", "q1-api").dropped == {}


def test_time_that_lies_further_back_than_microsoft_365_keeps_is_told(
    api: Api, tmp_path: Path
) -> None:
    def say(method: str, path: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
        return 200, {}, []

    api.say = say
    description = {
        "kind": "m365_activity", "hosts": [api.host], "tenant": "t1", "base": f"http://{api.host}",
        "content": ["Audit.Exchange"], "auth": {"kind": "bearer", "token": "env:PATH"},
    }  # fmt: skip
    poll = Kept(tmp_path, description)
    begun = datetime.now(UTC) - timedelta(days=30)
    poll._move({"started": ["Audit.Exchange"], "Audit.Exchange": begun.isoformat()})
    poll.turn()
    (loss,) = poll.intake.losses.waiting()
    assert (loss.source, loss.begun, loss.cause, loss.lost) == ("q1-api", begun, "missed", 0)
    assert timedelta(days=22) < loss.ended - loss.begun < timedelta(days=24)
    assert poll.intake.counters.of("api", "q1-api").notes == {"missed": 1}


def test_a_collector_polls_stores_and_stops(api: Api, tmp_path: Path) -> None:
    (tmp_path / "poll.yml").write_text(yaml.safe_dump({**by_token(api), "every_seconds": 1}))
    given = FileInput(
        name="api", kind="rest_poll", source="q1-api", paths=(str(tmp_path / "poll.yml"),)
    )
    stop, root, got = threading.Event(), tmp_path / "spool", list[Collector]()
    settings = CollectSettings(node="n1", listeners=(), files=(given,))
    thread = threading.Thread(
        target=run_collector,
        args=(settings, FixedDirectory(files=[API]), root, stop),
        kwargs={"ready": got.append},
    )
    thread.start()
    until(lambda: bool(got) and len(spooled(root)) >= 9, 15)
    (counted,) = got[0].snapshot()["counters"]
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert [json.loads(record.body) for record in spooled(root)][:8] == [*EVENTS, EVENTS[-1]]
    assert (counted["source"], counted["delivery"]) == ("q1-api", "acknowledged")
