"""APIs that are polled: pages, cursors, rate limits, tokens, and an API that misbehaves."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from contract.test_receiver_contract import until
from support.collector import spooled
from support.polled import API, EVENTS, Answer, Api, Kept, by_token, without_pauses

from collectors.collect import Collector, run_collector
from collectors.receivers import poll_client
from collectors.receivers.directory import FixedDirectory
from collectors.receivers.poll_client import retry_after
from collectors.receivers.poll_description import read_description
from pipeline.model.errors import FaultsError, RefusedError, ServiceAwayError, UsageError
from pipeline.settings.values import CollectSettings, FileInput


@pytest.fixture
def api() -> Iterator[Api]:
    yield from Api().serve()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return without_pauses(monkeypatch)


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
