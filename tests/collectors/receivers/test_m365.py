"""Microsoft 365's management activity, by a server that says what Microsoft's reference says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.polled import Answer, Api, Kept, without_pauses

from collectors.receivers.counters import Loss

MADE = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@pytest.fixture
def api() -> Iterator[Api]:
    yield from Api().serve()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pauses(monkeypatch)


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
