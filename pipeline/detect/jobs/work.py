"""What a worker does for a job: the use cases that the command line calls too, with signs of life.

In: a job of the table `job`. Out: its result there, and with the rule or the exception for who decides.
A worker that is told to stop, cancelled or overtaken leaves in the midst of it and writes nothing more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from pipeline.detect.jobs import jobs
from pipeline.detect.jobs.backfills import backfill_rule
from pipeline.detect.jobs.backtest import Backtest, backtest_exception, backtest_rule
from pipeline.detect.jobs.backtests import keep_result
from pipeline.detect.register.exceptions import Proposal, keep_backtest
from pipeline.model.clock import utc_now
from pipeline.model.errors import ConflictError
from pipeline.state.state import State
from pipeline.store.base import Store

log = logging.getLogger(__name__)
SIGN_SECONDS: Final = 0.5
Opens = Callable[[str, str], bool]
Sign = Callable[[int, int], None]
Work = Callable[[jobs.Taken, Sign, datetime], dict[str, Any]]


class StoppedError(Exception):
    """The worker was told to stop."""


def work_once(
    state: State,
    store: Store,
    *,
    opens: Opens,
    stop: threading.Event,
    clock: Callable[[], datetime] = utc_now,
) -> bool:
    """Do one job of detection; False where none waits. `opens(level, status)`: whether findings of such a
    rule open tickets."""

    def work(taken: jobs.Taken, sign: Sign, now: datetime) -> dict[str, Any]:
        return _do(state, store, taken, sign, opens, now)

    return do_one(state, jobs.DETECTION, work, stop=stop, clock=clock)


def do_one(
    state: State,
    kinds: Collection[str],
    work: Work,
    *,
    stop: threading.Event,
    clock: Callable[[], datetime] = utc_now,
) -> bool:
    """Take one job of these kinds and let `work` do it, with signs of life; False where none waits."""
    taken = jobs.take(state, kinds, now=clock())
    if taken is None:
        return False
    sign = _Sign(state, taken, stop, clock)
    try:
        with sign:
            result = work(taken, sign, clock())
        jobs.finish(state, taken, result, now=clock())
    except StoppedError:
        jobs.give_back(state, taken)
    except Exception as error:  # noqa: BLE001 - whatever it is, the job says it
        if isinstance(error, ConflictError) and not _held(state, taken, clock()):
            log.info("a job was given up", extra={"job": taken.id, "kind": taken.kind})
            return True
        log.warning("a job failed", extra={"job": taken.id, "kind": taken.kind, "why": str(error)})
        jobs.fail(state, taken, error, now=clock())
    return True


def _held(state: State, taken: jobs.Taken, now: datetime) -> bool:
    try:
        jobs.tell(state, taken, 0, 0, now=now)
    except ConflictError:
        return False
    return True


class _Sign:
    """Signs of life: with every step of the work, and in between from a thread, since a step can be long."""

    def __init__(
        self,
        state: State,
        taken: jobs.Taken,
        stop: threading.Event,
        clock: Callable[[], datetime],
    ) -> None:
        self._state, self._taken, self._stop, self._clock = state, taken, stop, clock
        self._at = (0, 0)
        self._due = 0.0
        self._lost = self._over = False
        self._turn = threading.Lock()
        self._between = threading.Event()
        self._thread = threading.Thread(target=self._meanwhile, name="sign", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._between.set()
        self._thread.join()

    def __call__(self, done: int, total: int) -> None:
        """To be called by the work; leaves it where it is to end."""
        self._at = (done, total)
        if self._stop.is_set():
            raise StoppedError
        if self._lost:
            raise ConflictError("the job was cancelled, or another works on it", got=self._taken.id)
        if time.monotonic() >= self._due:
            self._tell()

    def _tell(self) -> None:
        with self._turn:
            self._due = time.monotonic() + SIGN_SECONDS
            jobs.tell(self._state, self._taken, *self._at, now=self._clock())

    def _meanwhile(self) -> None:
        while not self._between.wait(5.0):
            try:
                self._tell()
            except ConflictError:
                self._lost = True
                return
            except Exception:  # a state that is away for a while is no reason to end the work
                log.exception("a job's sign of life could not be written")


def _do(
    state: State,
    store: Store,
    taken: jobs.Taken,
    sign: Sign,
    opens: Opens,
    now: datetime,
) -> dict[str, Any]:
    asked, actor = taken.asked, taken.actor
    since = now - timedelta(days=asked["days"])
    if taken.kind == "backfill":
        runs = backfill_rule(
            state, store, actor, taken.subject, since=since, now=now, progress=sign
        )
        return {
            "runs": [
                {
                    "run": r.run, "status": r.status, "events": r.events,
                    "matches": r.applied.matches, "findings": r.applied.born, "error": r.error,
                }
                for r in runs
            ]
        }  # fmt: skip
    if taken.kind == "backtest_exception":
        given = asked.get("proposal")
        draft = msgspec.convert(given, Proposal) if given else None
        found = backtest_exception(
            state, store, actor, taken.subject, draft=draft, since=since, now=now, progress=sign
        )
        if draft is None:
            keep_backtest(state, actor, taken.subject, _plain(found))
    else:
        draft_text = asked.get("draft", "")
        found = backtest_rule(
            state, store, actor, taken.subject, draft=draft_text, since=since, now=now,
            progress=sign,
        )  # fmt: skip
        if actor.scope.agencies is None:  # what is kept with the rule speaks of all agencies
            keep_result(state, actor, found.subject, found.revision, _plain(found), now=now)
    return _plain(found) | {"opens_tickets": opens(found.level, found.status)}


def _plain(found: Backtest) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain
