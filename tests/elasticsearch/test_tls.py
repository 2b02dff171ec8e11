"""TLS with a pinned authority, an API key and a password, through a real nginx before the node."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.elasticsearch import empty_store
from support.event_tables import NOW, event_commit
from support.nginx import Front, before
from support.states import empty_state

from pipeline.model.errors import ServiceAwayError, UsageError
from pipeline.model.records import Settled
from pipeline.model.scope import Scope
from pipeline.settings.values import ElasticsearchSettings
from pipeline.state.state import State
from pipeline.store.base import ALL_TIME
from pipeline.store.elasticsearch.store import ElasticsearchStore

ALL: dict[str, Any] = {"scope": Scope.everything(), "when": ALL_TIME}


@pytest.fixture(scope="module")
def front(elasticsearch_url: str) -> Iterator[Front]:
    folder = Path(tempfile.mkdtemp(prefix="thapcanh-nginx-"))
    folder.chmod(0o755)  # a server started by root works as another user
    try:
        with before(elasticsearch_url, folder) as found:
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = empty_state(tmp_path / "state.sqlite")
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _empty(elasticsearch_url: str, state: State) -> None:
    empty_store(elasticsearch_url, state).close()


def secret(tmp_path: Path, text: str) -> str:
    path = tmp_path / "secret"
    path.write_text(text + "\n", "utf-8")
    return f"file:{path}"


def sign_in(front: Front, way: str, tmp_path: Path) -> dict[str, str]:
    if way == "key":
        return {"api_key": secret(tmp_path, front.key)}
    return {"user": front.user, "password": secret(tmp_path, front.password)}


def store_of(front: Front, state: State, ca: Path | None, **more: str) -> ElasticsearchStore:
    settings = ElasticsearchSettings(
        hosts=(front.url,), ca=str(ca) if ca else "", patience=0.3, **more  # type: ignore[arg-type]
    )  # fmt: skip
    return ElasticsearchStore(settings, state)


@pytest.mark.parametrize("way", ["key", "password"])
def test_events_go_in_and_come_out_and_no_secret_is_logged(
    front: Front, state: State, tmp_path: Path, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    caplog.set_level(logging.DEBUG)
    store = store_of(front, state, front.ca, **sign_in(front, way, tmp_path))
    commit = event_commit([{"user.name": "Lan"}, {}], 1)
    assert store.append(commit, now=NOW) == Settled("n1", 1, 2, stored=2)
    assert store.count("user.name:lan", **ALL) == 1
    assert store.health().status == "ok"
    store.close()
    assert [text for text in (front.key, front.password) if text in caplog.text] == []


@pytest.mark.parametrize("which", ["another authority", "none"])
def test_a_server_that_the_pinned_authority_did_not_sign_gets_nothing(
    front: Front, state: State, tmp_path: Path, which: str
) -> None:
    ca = front.other_ca if which == "another authority" else None
    store = store_of(front, state, ca, **sign_in(front, "key", tmp_path))
    for ask in (
        lambda: store.count("", **ALL),
        lambda: store.append(event_commit([{}], 1), now=NOW),
    ):
        with pytest.raises(ServiceAwayError, match=r"TLS .*store\.elasticsearch\.ca") as caught:
            ask()
        assert front.key not in str(caught.value)
    assert store.watermark() == {}
    assert store.health().status == "away"
    assert "store.elasticsearch.ca" in store.health().notes[0]
    store.close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"api_key": "d3Jvbmc6a2V5"}, "does not know who asks .*api_key"),
        ({}, "does not know who asks .*api_key"),
        ({"user": "thapcanh", "password": "wrong"}, "does not know who asks .*password"),
        ({"api_key": "weak"}, r"not allowed .*logs-thapcanh\.\*"),
    ],
    ids=["a wrong key", "no sign-in", "a wrong password", "a key without rights"],
)
def test_a_wrong_sign_in_says_what_to_mend_and_shows_no_secret(
    front: Front, state: State, tmp_path: Path, wrong: dict[str, str], said: str
) -> None:
    given = dict(wrong)
    for name in given.keys() & {"api_key", "password"}:
        text = front.weak if given[name] == "weak" else given[name]
        given[name] = secret(tmp_path, text)
    store = store_of(front, state, front.ca, **given)
    for ask in (
        lambda: store.count("", **ALL),
        lambda: store.append(event_commit([{}], 1), now=NOW),
    ):
        with pytest.raises(ServiceAwayError, match=said) as caught:
            ask()
        assert [text for text in wrong.values() if f"{text} " in str(caught.value)] in (
            [],
            ["thapcanh"],
        )
    store.close()


def test_an_authority_s_file_that_is_not_there_is_named(
    front: Front, state: State, tmp_path: Path
) -> None:

    with pytest.raises(UsageError, match=r"nowhere\.pem"):
        store_of(front, state, tmp_path / "nowhere.pem")
