"""What a cluster does to us: it dies in the middle, takes nothing, is too busy, refuses one event for good."""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from support.elasticsearch import empty_store, own_node, store_at
from support.event_tables import NOW, event_commit, event_id
from support.states import empty_state

from pipeline.model.detections import Window
from pipeline.model.errors import ServiceAwayError
from pipeline.model.records import Settled
from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.state.tables.intake import DeadLetterRow
from pipeline.store import steps
from pipeline.store.base import ALL_TIME
from pipeline.store.elasticsearch import bulk
from pipeline.store.elasticsearch.store import ElasticsearchStore

ALL: dict[str, Any] = {"scope": Scope.everything(), "when": ALL_TIME}
INDEX = "logs-thapcanh.test-kept-2026.11"
KILLS = max(2, int(os.environ.get("KILLS", "2")) // 4)  # `make faults`: 50


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = empty_state(tmp_path / "state.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def store(elasticsearch_url: str, state: State) -> Iterator[ElasticsearchStore]:
    opened = empty_store(elasticsearch_url, state)
    yield opened
    opened.close()


def sequences(store: ElasticsearchStore, last: int) -> list[int]:
    window = Window({"n1": (0, last)})
    return [
        one
        for _, table in store.scan(
            window, scope=Scope.everything(), columns={"test.log": frozenset()}
        )
        for one in table.column("thapcanh.sequence").to_pylist()
    ]


class Killed(BaseException):
    """Stands for the end of the process."""


def test_a_commit_cut_off_after_the_cluster_took_it_counts_its_events_as_stored(
    store: ElasticsearchStore, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(name: str) -> None:
        if name == "commit.before":
            raise Killed

    commit = event_commit([{}, {}, {}], 1, resendable=frozenset({"test.log"}))
    monkeypatch.setattr(steps, "on_step", die)
    with pytest.raises(Killed):
        store.append(commit, now=NOW)
    assert store.watermark() == {}
    monkeypatch.setattr(steps, "on_step", None)
    assert store.append(commit, now=NOW) == Settled("n1", 1, 3, stored=3)
    assert sequences(store, 3) == [1, 2, 3]


@pytest.mark.faults
def test_a_node_that_is_killed_while_it_takes_documents_loses_and_doubles_nothing(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST", 200)
    node = own_node(heap="512m")
    chance = random.Random(7)
    port = int(node.url.rpartition(":")[2])
    store = store_at(node.url, state, timeout=20.0, patience=1.0)
    first, size = 1, 4_000
    try:
        for _ in range(KILLS):
            commit = event_commit([{"user.name": f"u{n}"} for n in range(size)], first)
            sent = threading.Event()
            monkeypatch.setattr(
                steps,
                "on_step",
                lambda name, sent=sent: sent.set() if name == "bulk.after" else None,
            )
            died: list[Exception] = []

            def work(commit: Any = commit, died: list[Exception] = died, sent: Any = sent) -> None:
                try:
                    store.append(commit, now=NOW)
                except ServiceAwayError as error:
                    died.append(error)
                finally:
                    sent.set()  # on a slow machine it may give up before anything was taken

            worker = threading.Thread(target=work)
            worker.start()
            assert sent.wait(60)
            sent.wait(chance.random() / 5)
            node.kill()
            worker.join(60)
            settled = store.watermark().get("n1", 0)
            assert settled == (first - 1 if died else first + size - 1)
            node = node_again(node, port)
            monkeypatch.setattr(steps, "on_step", None)
            if died:
                assert store.append(commit, now=NOW) == Settled(
                    "n1", first, first + size - 1, stored=size
                )
            first += size
        assert sequences(store, first) == list(range(1, first))
        assert store.count("", **ALL) == first - 1
    finally:
        store.close()
        node.kill()
        shutil.rmtree(node.home, ignore_errors=True)


def node_again(node: Any, port: int) -> Any:
    from support.elasticsearch import node_module

    return node_module().start(node.home, heap="512m", port=port)


def test_an_index_that_takes_no_documents_settles_nothing_and_goes_on_when_it_does(
    elasticsearch_url: str, store: ElasticsearchStore, state: State
) -> None:
    store.append(event_commit([{}], 1), now=NOW)
    store.client.indices.put_settings(
        index=INDEX, settings={"index.blocks.read_only_allow_delete": True}
    )
    hasty = store_at(elasticsearch_url, state, patience=0.3)
    commit = event_commit([{}, {}], 2)
    with pytest.raises(ServiceAwayError, match="flood-stage"):
        hasty.append(commit, now=NOW)
    assert hasty.watermark() == {"n1": 1}
    health = hasty.health()
    assert (health.status, "read_only_allow_delete" in health.notes[0]) == ("degraded", True)
    store.client.indices.put_settings(
        index=INDEX, settings={"index.blocks.read_only_allow_delete": None}
    )
    assert hasty.append(commit, now=NOW) == Settled("n1", 2, 3, stored=2)
    assert hasty.health().status == "ok"
    hasty.close()


def test_what_the_cluster_can_never_take_is_a_dead_letter_with_its_bytes_and_stops_nothing(
    store: ElasticsearchStore, state: State
) -> None:
    store.append(event_commit([{}], 1), now=NOW)
    # An index of somebody else's making, in which a field of ours is an object.
    store.client.indices.delete(index=INDEX)
    mapping = store.client.indices.get_index_template(name="thapcanh-events")["index_templates"][0]
    body = mapping["index_template"]["template"]
    broken = json.loads(json.dumps(body["mappings"]))
    broken["properties"]["event.action"] = {"properties": {"deep": {"type": "keyword"}}}
    store.client.indices.create(index=INDEX, mappings=broken, settings=body["settings"])
    rows = [{}, {"event.action": "x", "event.original": "a line"}, {}]
    assert store.append(event_commit(rows, 2), now=NOW) == Settled("n1", 2, 4, stored=2, refused=1)
    with state.read() as session:
        (letter,) = session.query(DeadLetterRow).all()
    assert (letter.sequence, letter.cause, letter.body, letter.agency) == (
        3, "store_refused", b"a line", "a",
    )  # fmt: skip
    assert "event.action" in letter.message
    assert sequences(store, 4) == [2, 4]


def test_a_cluster_that_does_not_answer_is_away(state: State) -> None:
    store = store_at("http://127.0.0.1:9", state, patience=0.1)
    for ask in (
        lambda: store.append(event_commit([{}], 1), now=NOW),
        lambda: store.count("", **ALL),
        lambda: store.get([event_id(1).hex()], scope=Scope.everything()),
        lambda: list(store.scan(Window({"n1": (0, 1)}), scope=Scope.everything())),
    ):
        with pytest.raises(ServiceAwayError):
            ask()
    assert store.health().status == "away"
    store.close()


class Between(BaseHTTPRequestHandler):
    """A proxy that answers 429 to every other `_bulk`, drops answers, and notes the sizes of requests."""

    target = ""
    busy: list[int]
    sizes: list[int]
    lost: list[int]
    narrow: list[int]

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_bulk = self.path.startswith("/_bulk")
        if self.path.startswith("/_search") and b'"pit"' in body and self.narrow:
            self.narrow.pop()
            self._answer(429, b'{"error":{"type":"circuit_breaking_exception"},"status":429}')
            return
        if is_bulk:
            self.sizes.append(body.count(b'{"create"'))
            if self.busy:
                self.busy.pop()
                self._answer(
                    429, b'{"error":{"type":"es_rejected_execution_exception"},"status":429}'
                )
                return
        answer = requests.request(
            self.command, self.target + self.path, data=body, timeout=60,
            headers={k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length")},
        )  # fmt: skip
        if is_bulk and self.lost:
            self.lost.pop()
            self.close_connection = True
            return
        self._answer(answer.status_code, answer.content, answer.headers.get("Content-Type", ""))

    def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass  # noqa: N815 - the server calls them so

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture
def between(elasticsearch_url: str) -> Iterator[tuple[str, type[Between]]]:
    handler = type(
        "Handler", (Between,),
        {"target": elasticsearch_url, "busy": [], "sizes": [], "lost": [], "narrow": []},
    )  # fmt: skip
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    server.server_close()


def test_a_busy_cluster_gets_smaller_requests_and_every_event_once(
    store: ElasticsearchStore, state: State, between: tuple[str, type[Between]]
) -> None:
    url, proxy = between
    proxy.busy += [1, 1]
    slow = store_at(url, state)
    assert slow.append(event_commit([{}] * 400, 1), now=NOW) == Settled("n1", 1, 400, stored=400)
    assert proxy.sizes[0] == 400
    assert max(proxy.sizes[2:]) <= 200
    assert sequences(slow, 400) == list(range(1, 401))
    slow.close()


def test_an_answer_that_is_lost_doubles_nothing_and_a_resend_is_told_from_it(
    store: ElasticsearchStore, state: State, between: tuple[str, type[Between]]
) -> None:
    url, proxy = between
    again = frozenset({"test.log"})
    slow = store_at(url, state)
    slow.append(event_commit([{}], 1, resendable=again), now=NOW)
    proxy.lost.append(1)
    rows = [{"event.id": event_id(1)}, {}, {}]
    assert slow.append(event_commit(rows, 2, resendable=again), now=NOW) == Settled(
        "n1", 2, 4, stored=2, known=1
    )
    assert sequences(slow, 4) == [1, 3, 4]
    slow.close()


def test_a_scan_that_the_cluster_lacks_memory_for_goes_on_in_smaller_pages_or_says_so(
    store: ElasticsearchStore,
    state: State,
    between: tuple[str, type[Between]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.store.elasticsearch.scan._WAIT", 0.0)
    url, proxy = between
    store.append(event_commit([{}] * 100, 1), now=NOW)
    slow = store_at(url, state)
    proxy.narrow += [1] * 6
    assert sequences(slow, 100) == list(range(1, 101))
    proxy.narrow += [1] * 7
    with pytest.raises(ServiceAwayError, match="circuit_breaking"):
        sequences(slow, 100)
    slow.close()


def test_a_closed_index_settles_nothing_shows_nothing_less_and_goes_on_when_it_is_opened(
    elasticsearch_url: str, store: ElasticsearchStore, state: State
) -> None:
    store.append(event_commit([{}], 1), now=NOW)
    store.client.indices.close(index=INDEX)
    hasty = store_at(elasticsearch_url, state, patience=0.3)
    with pytest.raises(ServiceAwayError):
        hasty.append(event_commit([{}], 2), now=NOW)
    assert hasty.watermark() == {"n1": 1}
    for ask in (lambda: hasty.count("", **ALL), lambda: sequences(hasty, 1)):
        with pytest.raises(ServiceAwayError, match="closed"):
            ask()
    with pytest.raises(ServiceAwayError, match="closed"):
        hasty.get([event_id(1).hex()], scope=Scope.everything())
    health = hasty.health()
    assert (health.status, "_open" in "".join(health.notes)) == ("degraded", True)
    store.client.indices.open(index=INDEX, wait_for_active_shards="1")
    assert hasty.append(event_commit([{}], 2), now=NOW) == Settled("n1", 2, 2, stored=1)
    assert sequences(hasty, 2) == [1, 2]
    hasty.close()


def test_a_scan_whose_point_in_time_is_lost_is_an_error_and_a_second_one_gives_all(
    store: ElasticsearchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.store.elasticsearch.scan.PAGE", 2)
    store.append(event_commit([{}] * 5, 1), now=NOW)
    opened: list[str] = []
    really = store.client.open_point_in_time

    def noted(**more: Any) -> Any:
        answer = really(**more)
        opened.append(answer["id"])
        return answer

    monkeypatch.setattr(store.client, "open_point_in_time", noted)
    window = Window({"n1": (0, 5)})
    pages = store.scan(window, scope=Scope.everything(), columns={"test.log": frozenset()})
    next(pages)
    store.client.close_point_in_time(id=opened[0])
    with pytest.raises(ServiceAwayError, match="search_context_missing"):
        list(pages)
    assert sequences(store, 5) == [1, 2, 3, 4, 5]
