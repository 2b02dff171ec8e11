"""How long the rehearsal waits for its tickets, and what it bears meanwhile."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pipeline.model.errors import ServiceAwayError
from pipeline.rehearsal.lines import ExpectedTicket
from pipeline.rehearsal.verdict import Seen
from pipeline.serve import verdict

WANTED = ExpectedTicket("r1", "a", "e", ("x",), story="s")
HERE: Any = type("Here", (), {"state": None, "store": None})
SCRIPT: Any = object()


class Stop(threading.Event):
    """Waits for nobody."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def waited(monkeypatch: pytest.MonkeyPatch, answers: list[Any], *, seconds: float = 60) -> Any:
    def seen(*_: object) -> list[Seen]:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        found: list[Seen] = answer
        return found

    monkeypatch.setattr(verdict, "seen_tickets", seen)
    monkeypatch.setattr(verdict, "tickets", lambda _: [WANTED])
    told: list[str] = []
    left = verdict.wait_for_tickets(HERE, SCRIPT, seconds=seconds, stop=Stop(), tell=told.append)
    return left, told


def test_a_store_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    away = ServiceAwayError("no shard is there yet")
    there = [Seen("r1", "a", "e", ("x",))]
    assert waited(monkeypatch, [away, [], [], away, there]) == (
        [],
        ["waiting for the script's tickets: 1 differences left"],
    )


def test_when_the_time_is_up_the_differences_are_told_or_that_the_store_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert waited(monkeypatch, [[]], seconds=-1)[0] == [
        "missing: rule r1, agency a, entity e, 1 events (x)"
    ]
    with pytest.raises(ServiceAwayError):
        waited(monkeypatch, [ServiceAwayError("gone")], seconds=-1)
