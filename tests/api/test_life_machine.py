"""The same machine over HTTP: sessions of many people, `ETag` / `If-Match`, `Idempotency-Key`, problem+json."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from starlette.testclient import TestClient
from support.api_client import V1, blank
from support.life_machine import Life
from support.seed import cookie

from pipeline.access import people, sessions
from pipeline.api.routes.deeds import DEEDS
from pipeline.model.clock import EPOCH
from pipeline.model.errors import ConflictError, StaleError, UsageError
from pipeline.model.scope import OPERATOR
from pipeline.state.state import State
from pipeline.state.tables.register import Agency
from pipeline.tickets.deeds import Outcome, Request

WORDS: dict[str, Callable[..., dict[str, Any]]] = {
    "take_over": lambda reason: {"note": reason},
    "merge": lambda into, note: {"into": int(into), "note": note},
}
NAMED = {"wait_for": "wait"}
ERRORS = {400: UsageError, 409: ConflictError, 412: StaleError}


class ByHttp:
    """A module of use cases, each of whose deeds is a POST."""

    def __getattr__(self, name: str) -> Callable[..., Outcome]:
        path = NAMED.get(name, name).replace("_", "-")
        if path not in DEEDS:
            raise AttributeError(name)

        def deed(state: State, request: Request, *, now: datetime, **words: Any) -> Outcome:
            body = WORDS.get(name, dict)(**words)
            return post(state, request, path, body, now)

        return deed


@cache
def app() -> Any:
    return blank()


def post(state: State, request: Request, name: str, body: dict[str, Any], now: datetime) -> Outcome:
    gate = app().state.gate
    for field, value in (("state", state), ("clock", lambda: now), ("per_minute", 10**9)):
        object.__setattr__(gate, field, value)
    gate.requests.tries = 10**9
    value = cookie(state, request.actor.id, now)
    signed = sessions.resume(state, value, now=now)
    assert signed is not None
    client = TestClient(app(), cookies={gate.cookie: value})
    path, ours = f"{V1}/tickets/{request.ticket}", {"X-Seal": signed.csrf}
    revision = "*" if request.revision is None else f'"{request.revision}"'
    headers = ours | {"If-Match": revision, "Idempotency-Key": request.key}
    answer = client.post(f"{path}/{name}", json=body, headers=headers)
    if answer.status_code in ERRORS:
        assert answer.headers["content-type"] == "application/problem+json"
        raise ERRORS[answer.status_code](answer.json()["detail"])
    assert answer.status_code == 200, answer.text
    assert answer.headers["ETag"] == f'"{answer.json()["revision"]}"'
    return Outcome(**answer.json())


class LifeByHttp(Life):
    life = ByHttp()
    facts = ByHttp()

    def prepare(self) -> None:
        with self.state.begin() as session:
            ward = Agency(id="ward-1", name_vi="Phường 1", name_en="Ward 1", valid_from=EPOCH)
            session.add(ward)
        people.add(
            self.state, OPERATOR, person="dung", name="Dung", role="officer", agencies=("ward-1",),
            now=EPOCH,
        )  # fmt: skip


def test_whatever_actors_do_over_http_the_tickets_agree_with_the_model() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        LifeByHttp, settings=settings(max_examples=10, stateful_step_count=15, deadline=None)
    )
