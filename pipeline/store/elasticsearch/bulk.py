"""The bulk loop: every event of a commit either in its index or refused for good, whatever happens on the way.

In: prepared events. Out: `Done`: which were created by us, which were there before, which the cluster can never
take. Only what failed is sent again, later each time and by chance a little apart; 429 makes the requests smaller.
An answer that never came is settled by sending again: `create` of an id that is there says so (409), and whose
it is, is read from it. ServiceAwayError when the cluster does not take it within `PATIENCE`.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.model.errors import ServiceAwayError
from pipeline.store.elasticsearch.client import away, reason_of, refusal
from pipeline.store.elasticsearch.documents import Prepared
from pipeline.store.steps import step

MOST: Final = 2_000
LEAST: Final = 50
BYTES: Final = 8 << 20
PATIENCE: Final = 20.0
_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 5.0
_AGAIN: Final = frozenset({429, 500, 502, 503, 504})
_KNOWN: Final = 409
_NEVER: Final = frozenset({400, 413})
_FILTER: Final = "errors,items.*.status,items.*.error"


@dataclass
class Done:
    """`ids` of each outcome; `refused` with the cluster's reason. `retries` counts requests sent again."""

    created: int = 0
    there: list[Prepared] = field(default_factory=list)
    refused: list[tuple[Prepared, str]] = field(default_factory=list)
    retries: int = 0


class Bulk:
    """Sends to one cluster. One commit at a time; requests are sent while the next one is prepared."""

    def __init__(self, client: Any, *, patience: float = PATIENCE) -> None:
        self._client, self._patience = client, patience
        self._size = MOST

    def send(self, prepared: Iterable[list[Prepared]]) -> Done:
        """Send all of it; see the module."""
        done = Done()
        with ThreadPoolExecutor(1, "bulk") as sender:
            under_way: deque[Future[None]] = deque()
            stop = threading.Event()
            try:
                for chunk in self._chunks(prepared):
                    while len(under_way) > 1:
                        under_way.popleft().result()
                    under_way.append(sender.submit(self._deliver, chunk, done, stop))
                while under_way:
                    under_way.popleft().result()
            finally:
                stop.set()
        return done

    def _chunks(self, prepared: Iterable[list[Prepared]]) -> Iterator[list[Prepared]]:
        chunk: list[Prepared] = []
        size = 0
        for piece in prepared:
            for one in piece:
                if chunk and (len(chunk) >= self._size or size + len(one.line) > BYTES):
                    yield chunk
                    chunk, size = [], 0
                chunk.append(one)
                size += len(one.line)
        if chunk:
            yield chunk

    def _deliver(self, chunk: list[Prepared], done: Done, stop: threading.Event) -> None:
        """One chunk, until nothing of it is undecided."""
        limit = time.monotonic() + self._patience
        wait = _FIRST_WAIT
        left = chunk
        while left:
            again: list[Prepared] = []
            trouble: Exception | None = None
            size = self._size  # what it is while these are sent: an answer may change it
            for start in range(0, len(left), size):
                part = left[start : start + size]
                failed, error = self._request(part, done)
                again += failed
                trouble = error or trouble
            if not again:
                self._size = min(MOST, self._size + self._size // 4)
                return
            if time.monotonic() > limit:
                raise trouble or ServiceAwayError("Elasticsearch takes nothing")
            done.retries += 1
            if stop.wait(wait * (0.5 + random.random())):  # noqa: S311 - no secret
                raise trouble or ServiceAwayError("the commit was given up")
            wait = min(wait * 2, _LONGEST_WAIT)
            left = again

    def _request(self, part: list[Prepared], done: Done) -> tuple[list[Prepared], Exception | None]:
        """What must be sent again, and why."""
        from elasticsearch import ApiError, TransportError

        step("bulk.before")
        try:
            answer = self._client.bulk(operations=[one.line for one in part], filter_path=_FILTER)
        except ApiError as error:
            status = error.meta.status
            if status == 413 and len(part) > 1:
                self._slower(len(part))
                return part, refusal("_bulk", status, error.body)
            if status == 413:
                done.refused.append((part[0], "the event is larger than http.max_content_length"))
                return [], None
            if status not in _AGAIN:
                raise refusal("_bulk", status, error.body) from error
            if status == 429:
                self._slower(len(part))
            return part, refusal("_bulk", status, error.body)
        except TransportError as error:  # perhaps it was taken: sending again finds out
            return part, away("_bulk", error)
        step("bulk.after")
        if not answer.get("errors"):
            done.created += len(part)
            return [], None
        return self._sorted_out(part, answer["items"], done)

    def _sorted_out(
        self, part: list[Prepared], items: list[dict[str, Any]], done: Done
    ) -> tuple[list[Prepared], Exception | None]:
        again: list[Prepared] = []
        trouble: Exception | None = None
        for one, item in zip(part, items, strict=True):
            (said,) = item.values()
            status = int(said["status"])
            if status < 300:
                done.created += 1
            elif status == _KNOWN:
                done.there.append(one)
            elif status in _NEVER and "cluster_block" not in reason_of(said):
                done.refused.append((one, reason_of(said)))
            else:
                again.append(one)
                trouble = refusal(f"_bulk, {one.index}", status, said)
                if status not in _AGAIN and status != 403:
                    raise trouble
        if any(int(next(iter(item.values()))["status"]) == 429 for item in items):
            self._slower(len(part))
        return again, trouble

    def _slower(self, size: int) -> None:
        self._size = max(LEAST, min(self._size, size) // 2)
